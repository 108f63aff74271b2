"""The process of the live streams: granian again, inside an event loop instead of above processes with threads."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from souk.stack.api import ask, base_url
from souk.stack.service import Service

# glibc would give each of its few threads a heap of its own, and each keeps what it once needed.
FEW_HEAPS = {"MALLOC_ARENA_MAX": "2"}


def live_argv(*, host: str, port: int) -> tuple[str, ...]:
    """The command of the server. One process: it waits, it does not compute."""
    return (sys.executable, "-m", "souk.asgi", host, str(port))


def live(*, host: str, port: int, env: Mapping[str, str], cwd: Path) -> Service:
    """The service; ready when it answers."""
    address = base_url(host, port)
    return Service(
        name="live",
        argv=(sys.executable, "-m", "souk", "live", "--host", host, "--port", str(port)),
        env={**env, "SOUK_PROCESS": "live"},
        cwd=cwd,
        ready=lambda: ask(f"{address}/health/live")[0] == 200,
        settle=0.5,
        grace=12.0,
    )
