"""Streaming replicas of the embedded PostgreSQL, made by pg_basebackup."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from souk.stack.account import account_of_servers
from souk.stack.home import Home, free_port
from souk.stack.postgres import binaries
from souk.stack.service import run_as
from tests.faults.ground import children_of, freeze, thaw
from tests.stack.private import wait_for


@dataclass
class Replica:
    """One replica of the cluster under `home`; `folder` is its data, below the primary's own folder."""

    home: Path
    name: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.home / "postgres" / self.name

    def url(self, role: str = "souk") -> str:
        """Its address for one of the roles."""
        return f"postgresql://{role}:{Home(self.home).secrets()[role]}@127.0.0.1:{self.port}/souk"

    def copy(self, primary_url: str) -> None:
        """Take the base backup."""
        at = urlsplit(primary_url)
        argv = [
            str(binaries() / "pg_basebackup"), "--pgdata", str(self.folder), "--host", str(at.hostname),
            "--port", str(at.port), "--username", "souk_cdc", "--write-recovery-conf", "--checkpoint", "fast",
        ]  # fmt: skip
        secret = Home(self.home).secrets()["souk_cdc"]
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, cwd="/",
            env={"PATH": os.defpath, "PGPASSWORD": secret}, **run_as(account_of_servers()),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.home / "log" / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(binaries() / "postgres"), "-D", str(self.folder), "-p", str(self.port)],
                env={"PATH": os.defpath, "LANG": "C.UTF-8"}, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **run_as(account_of_servers()),
            )  # fmt: skip
        wait_for(self.answers, what=f"{self.name} answers")

    def answers(self) -> bool:
        """Whether it takes connections."""
        with suppress(psycopg.Error), psycopg.connect(self.url(), connect_timeout=2):
            return True
        return False

    def execute(self, statement: str) -> Any:
        """The first row of a statement, as the superuser."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as at:
            return at.execute(statement.encode()).fetchone()

    def pids(self) -> list[int]:
        """The server and everything that it started."""
        assert self.process is not None
        return [self.process.pid, *children_of(self.process.pid)]

    def freeze(self) -> None:
        freeze(self.pids())

    def thaw(self) -> None:
        thaw(self.pids())

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it, kindly or not."""
        if self.process is None:
            return
        self.thaw()
        self.process.send_signal(number)
        self.process.wait(30)
        self.process = None


@contextmanager
def replica_of(home: Path, primary_url: str, *, name: str = "replica") -> Iterator[Replica]:
    """A running replica, until the block ends."""
    made = Replica(home, name)
    made.copy(primary_url)
    made.start()
    try:
        yield made
    finally:
        made.stop(signal.SIGQUIT)
