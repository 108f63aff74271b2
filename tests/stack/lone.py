"""A process of a test's own, beside whatever else runs or does not run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from souk.stack.api import ask
from souk.stack.home import free_port
from tests.stack.private import wait_for


@contextmanager
def running_api(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """The address of an API with one worker, for as long as the block lasts. What it logs goes to the file."""
    with _running(environment, log, "api", "--workers", "1") as url:
        yield url


@contextmanager
def running_live(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """The address of a live process, likewise."""
    with _running(environment, log, "live") as url:
        yield url


@contextmanager
def _running(environment: Mapping[str, str], log: Path, *which: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "souk", *which, "--port", str(port)]
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as api:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: ask(f"{url}/health/live")[0] == 200, what=f"{which[0]} answers")
            yield url
        finally:
            api.terminate()
            api.wait(30)
