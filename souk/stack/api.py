"""The HTTP server of the API: granian, WSGI with threads."""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from json import JSONDecodeError, loads
from pathlib import Path
from typing import Any

from souk.stack.service import Service

WORKERS = 2
THREADS = 4
# Accepted at once per worker; the rest waits in the kernel's queue instead of in ours.
BACKPRESSURE = 64


def granian_argv(*, host: str, port: int, workers: int = WORKERS, threads: int = THREADS) -> tuple[str, ...]:
    """The command of the server."""
    return (
        sys.executable, "-m", "granian", "souk.wsgi:application", "--interface", "wsgi", "--host", host,
        "--port", str(port), "--workers", str(workers), "--blocking-threads", str(threads),
        "--blocking-threads-idle-timeout", "600", "--backpressure", str(BACKPRESSURE), "--backlog", "1024",
        "--http", "1", "--no-ws",
        "--respawn-failed-workers", "--workers-kill-timeout", "8s", "--log-level", "warning",
    )  # fmt: skip


def api(*, host: str, port: int, env: Mapping[str, str], cwd: Path) -> Service:
    """The service; ready when it answers. Whether all of Souk is ready is `Gate`'s question."""
    address = base_url(host, port)
    return Service(
        name="api",
        argv=(sys.executable, "-m", "souk", "api", "--host", host, "--port", str(port)),
        env={**env, "SOUK_PROCESS": "api"},
        cwd=cwd,
        ready=lambda: ask(f"{address}/health/live")[0] == 200,
        settle=0.5,
        grace=12.0,
    )


def base_url(host: str, port: int) -> str:
    """The address at which this machine reaches a server that listens on `host`."""
    reached = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def ask(url: str, *, seconds: float = 2.0) -> tuple[int, dict[str, Any]]:
    """GET a JSON object: status and body. Status 0 and the reason where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310 - our own loopback address
            return answer.status, object_of(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, object_of(error.read())
    except OSError as error:
        return 0, {"detail": str(getattr(error, "reason", error))}


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; empty where it is something else."""
    try:
        found = loads(body or b"{}")
    except (JSONDecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(slots=True)
class Gate:
    """Whether the whole stack is ready, as `/health/ready` says: None, or what is missing.

    A stack that serves but stays degraded is let through after `tolerance` seconds; `degraded` then says what it lacks.
    """

    url: str
    tolerance: float = 60.0
    degraded: str = ""
    _since: float = field(default=0.0)

    def __call__(self) -> str | None:
        status, body = ask(f"{self.url}/health/ready")
        if status == 200 and body.get("status") == "ready":
            return None
        missing = self._missing(status, body)
        if status != 200:
            self._since = 0.0
            return missing
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since < self.tolerance:
            return missing
        self.degraded = missing
        return None

    @staticmethod
    def _missing(status: int, body: dict[str, Any]) -> str:
        if status == 0:
            return f"the API does not answer ({body.get('detail')})"
        checks = body.get("checks")
        named = checks.items() if isinstance(checks, dict) else ()
        bad = [f"{name} is {check.get('state')}" for name, check in named if check.get("state") not in ("ok", "ready")]
        return ", ".join(bad) or f"/health/ready answers {status} {body.get('status', '')}".strip()
