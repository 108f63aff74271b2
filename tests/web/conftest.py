"""The shop front in a real browser. `make test-web` runs these; a whole run of pytest plays the short ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from souk.stack.home import free_port
from tests.stack.private import SoukStack, wait_for
from tests.web.people import Person

HERE = Path(__file__).parent
Opener = Callable[..., Any]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not marked `short`, unless tests of this folder are named."""
    named = [Path(str(one).split("::")[0]).resolve() for one in config.args]
    if any(one.is_relative_to(HERE) for one in named):
        return
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("short") is None:
            item.add_marker(pytest.mark.skip("runs with `make test-web`"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    from tests.web.browsing import chromium_path, opened_browser

    path = chromium_path()
    if path is None:
        pytest.skip("there is no Chromium here (Debian: apt-get install chromium)")
    with sync_playwright() as playwright, opened_browser(playwright, path) as found:
        yield found


@pytest.fixture(scope="session")
def web_stack(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoukStack]:
    """One stack for all browser tests."""
    stack = SoukStack(tmp_path_factory.mktemp("web"), extra={"SOUK_RATE_LIMITS": "off"})
    stack.up()
    yield stack
    stack.down()


@pytest.fixture
def open_window(browser: Any, web_stack: SoukStack) -> Iterator[Opener]:
    """Opens windows (`person`, and whatever a browser context takes); at the end each must be clean."""
    from tests.web.browsing import Window

    windows: list[Window] = []

    def opened(person: Person | None = None, **options: Any) -> Window:
        base_url = options.pop("base_url", person.base_url if person else web_stack.base_url)
        # With tokens of its own: renewing them in the browser ends the ones it began with.
        windows.append(Window.open(browser, base_url, person and person.signed_in(), **options))
        return windows[-1]

    yield opened
    for window in windows:
        window.context.close()
        window.assert_clean()


@pytest.fixture
def seller(web_stack: SoukStack) -> Person:
    return Person.register(web_stack.base_url, "seller", display_name="Atelier Nour")


@pytest.fixture
def buyer(web_stack: SoukStack) -> Person:
    return Person.register(web_stack.base_url, "buyer")


@pytest.fixture
def own_api(web_stack: SoukStack, tmp_path: Path) -> Callable[..., AbstractContextManager[Any]]:
    """Starts one more API process on the same stack, with settings of the test's own; it can be stopped and started."""

    @contextmanager
    def started(**settings: str) -> Iterator[OwnApi]:
        api = OwnApi(web_stack, free_port(set()), settings, tmp_path)
        try:
            api.start()
            yield api
        finally:
            api.stop()

    return started


class OwnApi:
    """An API process that this test alone uses."""

    def __init__(self, stack: SoukStack, port: int, settings: dict[str, str], folder: Path) -> None:
        self.stack, self.port, self.settings, self.folder = stack, port, settings, folder
        self.base_url = f"http://127.0.0.1:{port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ours = {**self.settings, "SOUK_PROCESS": "api", "SOUK_HOME": str(self.stack.home)}
        with (self.folder / "api.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "souk", "api", "--host", "127.0.0.1", "--port", str(self.port)],
                env={**self.stack.environment, **ours}, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for(self._answers, what="the test's own API answers")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)
            self.process = None

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/health/live").status_code == 200
        except httpx.TransportError:
            return False
