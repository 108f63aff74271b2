"""The stack that the faults are done to: its processes, its database as the superuser, its streams."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import httpx
import psycopg
import redis

from souk.stack.api import ask
from souk.stack.home import free_port
from souk.stack.identity import all_pids, die_with_parent, read_stat
from tests.stack.private import SoukStack, wait_for

HOLD_SECONDS = 5
WELL_SECONDS = 180.0
STREAMS = ("order", "payment", "product", "user")
# A folder of its own for the append-only file, so that its disk can be full without that of this machine.
DISK_MEGABYTES = 192


class Ground:
    """One stack, for any number of rounds."""

    def __init__(self, home: Path) -> None:
        extra = {
            "SOUK_ORDER_HOLD_SECONDS": str(HOLD_SECONDS),
            "SOUK_MAX_HOLDS_PER_USER": "1000",
            "SOUK_WEBHOOK_ALLOW_LOOPBACK": "1",
        }
        self.stack = SoukStack(home, extra=extra)
        self.disk: Path | None = None

    def up(self) -> None:
        """Start it; with a small disk of its own for the streams where this user may mount one."""
        folder = self.stack.home / "valkey"
        folder.mkdir(mode=0o700, parents=True)
        size = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m,mode=700", "souk-faults", str(folder)]
        with suppress(OSError):
            if subprocess.run(size, capture_output=True, check=False).returncode == 0:
                self.disk = folder
        self.stack.up()

    def down(self) -> None:
        """Stop it."""
        self.stack.down()
        if self.disk:
            subprocess.run(["umount", str(self.disk)], check=False)

    @property
    def url(self) -> str:
        """Where the stack's own API answers."""
        return self.stack.base_url

    def database(self, *, called: str = "the fault suite") -> psycopg.Connection[Any]:
        """A connection as the superuser, in autocommit."""
        secrets = json.loads((self.stack.home / "secrets.json").read_text())
        ports = json.loads((self.stack.home / "ports.json").read_text())
        return psycopg.connect(
            host="127.0.0.1", port=ports["postgres"], user="postgres", password=secrets["postgres"], dbname="souk",
            autocommit=True, connect_timeout=5, application_name=called,
        )  # fmt: skip

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What one statement gives."""
        with self.database() as at:
            found = at.execute(sql.encode(), parameters or None)
            return found.fetchall() if found.description else []

    def value(self, sql: str, *parameters: Any) -> Any:
        """The one value that a statement gives."""
        return self.rows(sql, *parameters)[0][0]

    @contextmanager
    def streams(self) -> Iterator[Any]:
        """A client of the stream server."""
        with redis.Redis.from_url(
            self.stack.environment["SOUK_REDIS_URL"], socket_timeout=10, socket_connect_timeout=3
        ) as client:
            yield client

    def pid(self, name: str) -> int:
        """The process of a service, which must be running."""
        wait_for(lambda: bool(self.stack.service(name)["pid"]), what=f"{name} runs", seconds=WELL_SECONDS)
        return int(self.stack.service(name)["pid"])

    def kill(self, name: str) -> int:
        """SIGKILL to a service; its pid."""
        pid = self.pid(name)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return pid

    def api_workers(self) -> list[int]:
        """The processes that answer requests: children of the server's first one."""
        return children_of(self.pid("api"))

    def log_matches(self, service: str, pattern: str) -> list[str]:
        """What the pattern's group is, wherever the log of a service matches it."""
        found: list[str] = []
        for path in sorted(self.stack.home.glob(f"log/{service}.log*")):
            found += re.findall(pattern, path.read_text(errors="replace"))
        return found

    def reconciled(self) -> int:
        """How many events the reconciler has found so far."""
        return int(self.value("SELECT coalesce(sum(reconciled), 0) FROM reactions_progress"))

    def connections(self) -> int:
        """How many connections of Souk's processes the database has."""
        return int(self.value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'souk %%'"))

    def entries(self, stream: str, *, last: int | None = None) -> list[tuple[str, str, Mapping[bytes, bytes]]]:
        """Entry id, event id and fields of a stream's (last) entries, oldest first."""
        with self.streams() as client:
            found = client.xrevrange(f"souk.events.{stream}", count=last)
        return [(one.decode(), str(json.loads(fields[b"value"])["id"]), fields) for one, fields in reversed(found)]

    def is_well(self) -> bool:
        """Whether every service runs and the API calls the whole ready."""
        with suppress(OSError, ValueError, httpx.HTTPError, KeyError):
            state = self.stack.state()
            if all(service["state"] == "ready" for service in state["services"]):
                return ask(f"{self.url}/health/ready")[1].get("status") == "ready"
        return False

    def wait_well(self) -> float:
        """Wait until all runs again; the moment (of this machine's clock)."""
        wait_for(self.is_well, what="every part is ready again", seconds=WELL_SECONDS)
        return time.time()

    @contextmanager
    def process(self, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """One more process of Souk on this stack, until the block ends; the supervisor knows nothing of it."""
        kind = command[0]
        with (self.stack.home / "log" / f"extra-{kind}.log").open("ab") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", "souk", *command], cwd=self.stack.home, stdout=log, stderr=log,
                env={**self.stack.environment, "SOUK_PROCESS": kind, **environment},
                preexec_fn=die_with_parent(os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - ends with the tests
            )  # fmt: skip
        try:
            yield started
        finally:
            thaw([started.pid])
            started.terminate()
            try:
                started.wait(40)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()

    @contextmanager
    def more_api(self, **environment: str) -> Iterator[str]:
        """One more API process of one worker; where it answers."""
        port = free_port()
        argv = ("api", "--port", str(port), "--workers", "1")
        with self.process(*argv, **environment):
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: ask(f"{url}/health/live")[0] == 200, what="one more API answers", seconds=WELL_SECONDS)
            yield url


def freeze_at_rest(ground: Ground, pid: int) -> None:
    """SIGSTOP to the worker while it holds no lock: one that stands with stock locked would reach the API too."""
    busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'souk worker' AND xact_start IS NOT NULL"

    def stands_at_rest() -> bool:
        freeze([pid])
        if ground.value(busy) == 0:
            return True
        thaw([pid])
        return False

    wait_for(stands_at_rest, what="the worker stands between two transactions", seconds=60)


def children_of(pid: int) -> list[int]:
    """The processes that this one started and that live."""
    found = []
    for one in all_pids():
        stat = read_stat(one)
        if stat and stat.parent == pid:
            found.append(one)
    return sorted(found)


def freeze(pids: Sequence[int]) -> None:
    """SIGSTOP."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)


def thaw(pids: Sequence[int]) -> None:
    """SIGCONT."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def errors_of(client: Any, kind: str) -> int:
    """How many commands the stream server has refused with this error."""
    told = cast("Mapping[str, Any]", client.info("errorstats"))
    found = told.get(f"errorstat_{kind}", {})
    return int(found.get("count", 0)) if isinstance(found, dict) else int(re.sub(r"\D", "", str(found)) or 0)
