"""The wheel is whole: installed where no checkout is, it serves the guide, the contract and every page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from souk.settings import CHECKOUT
from souk.stack.api import ask
from souk.stack.home import free_port
from tests.stack.private import bare_environment, wait_for

UV = CHECKOUT / ".uv" / "bin" / "uv"
PAGES = ["/guide/", "/guide/using/first-order/", "/guide/states/order.svg", "/problems/out_of_stock", "/machines"]
READERS = ["/api/v1/docs", "/api/v1/redoc", "/api/v1/openapi.json", "/reading/swagger/swagger-ui-bundle.js"]


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run([str(one) for one in command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment into which the wheel was installed, and nothing else of this checkout."""
    uv = UV if UV.exists() else shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not there to build the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    run(uv, "build", "--wheel", "--quiet", "--out-dir", folder, CHECKOUT, folder=folder)
    (wheel,) = folder.glob("souk-*.whl")
    run(uv, "venv", "--quiet", "--python", sys.executable, folder / "env", folder=folder)
    run(uv, "pip", "install", "--quiet", "--python", folder / "env", wheel, folder=folder)
    return folder / "env"


@pytest.fixture(scope="module")
def address(installed: Path) -> Iterator[str]:
    """Where the installed Souk answers; its database is away, for no page needs it."""
    port = free_port()
    environment = {
        **bare_environment(), "SOUK_DATABASE_URL": "postgresql://souk@127.0.0.1:1/souk", "SOUK_SECRET_KEY": "k" * 50,
        "SOUK_HOME": str(installed / "home"), "PATH": os.defpath,
    }  # fmt: skip
    environment.pop("PYTHONPATH", None)
    command = [str(installed / "bin" / "souk"), "api", "--port", str(port), "--workers", "1"]
    with subprocess.Popen(command, env=environment, cwd=installed, stdout=subprocess.DEVNULL) as api:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: ask(f"{url}/health/live")[0] == 200, what="the installed API answers")
            yield url
        finally:
            api.terminate()


@pytest.mark.parametrize("path", [*PAGES, *READERS])
def test_an_installed_wheel_serves_every_page(address: str, path: str) -> None:
    answer = httpx.get(address + path, headers={"Accept": "text/html,*/*"}, timeout=30)
    assert (answer.status_code, len(answer.content) > 500) == (200, True), answer.text[:500]


def test_what_the_wheel_serves_is_its_own(installed: Path) -> None:
    where = run(installed / "bin" / "python", "-c", "import souk; print(souk.__file__)", folder=installed)
    assert Path(where.strip()).is_relative_to(installed)
