"""The process of the live streams: granian again, with an event loop instead of threads."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from souk.stack.api import ask, base_url
from souk.stack.service import Service

MOST_CONNECTIONS = 10_000


def live_argv(*, host: str, port: int) -> tuple[str, ...]:
    """The command of the server. One process: it waits, it does not compute."""
    return (
        sys.executable, "-m", "granian", "souk.asgi:application", "--interface", "asgi", "--host", host,
        "--port", str(port), "--workers", "1", "--loop", "asyncio", "--runtime-threads", "1",
        "--backpressure", str(MOST_CONNECTIONS), "--backlog", "4096", "--http", "1", "--no-ws",
        "--respawn-failed-workers", "--workers-kill-timeout", "5s", "--log-level", "warning",
    )  # fmt: skip


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
