"""SOUK_HOME: where all state of the embedded stack lives, and the files by which its processes find each other."""

from __future__ import annotations

import fcntl
import json
import os
import random
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from souk.stack.identity import Identity
from souk.stack.service import StackError

VERSION = 1
SECRET_NAMES = ("postgres", "souk", "souk_cdc", "streams", "cache", "secret_key")


class RunsAlready(StackError):
    """Another process holds this home."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds everything one embedded stack keeps."""

    path: Path

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def environment(self) -> Path:
        return self.run / "environment"

    @property
    def metrics(self) -> Path:
        return self.run / "metrics"

    @property
    def state(self) -> Path:
        return self.run / "state.json"

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def make(self) -> None:
        """Make the folders that are missing, and refuse a home that this Souk cannot read.

        Raises StackError: written by a newer Souk, no permission, no such disk.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.version()
            if found > VERSION:
                raise StackError(
                    f"{self.path} was written by a newer Souk (format {found}, this one reads {VERSION}). "
                    "Install that Souk, or choose another folder with SOUK_HOME."
                )
            for folder in (self.run, self.log):
                folder.mkdir(mode=0o700, exist_ok=True)
            write_file(self.path / "version", f"{VERSION}\n")
        except OSError as error:
            raise StackError(
                f"Cannot write to SOUK_HOME {self.path}: {error.strerror}. "
                "Free space or mend its permissions, or set SOUK_HOME to a folder that you may write to."
            ) from error

    def version(self) -> int:
        """The format of what is stored here; the current one when nothing is."""
        try:
            return int((self.path / "version").read_text())
        except FileNotFoundError:
            return VERSION
        except ValueError as error:
            raise StackError(
                f"{self.path / 'version'} is not a number. If this is no folder of Souk's, choose another "
                "SOUK_HOME; else put the format number back."
            ) from error

    def count_anew(self) -> None:
        """Empty the folder in which the processes count: they all begin anew with the supervisor."""
        self.metrics.mkdir(mode=0o700, exist_ok=True)
        for left in self.metrics.glob("*.db"):
            left.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one supervisor of this home. The kernel gives the lock back however the process ends."""
        with (self.run / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunsAlready(self.who_runs()) from None
            me = Identity.of(os.getpid())
            assert me is not None  # noqa: S101 - we do run
            me.save(self.pid_file("supervisor"))
            try:
                yield
            finally:
                self.pid_file("supervisor").unlink(missing_ok=True)
                self.count_anew()

    def is_locked(self) -> bool:
        """Whether a supervisor holds this home now."""
        try:
            lock = (self.run / "lock").open("r")
        except FileNotFoundError:
            return False
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def supervisor(self) -> Identity | None:
        """The living supervisor of this home."""
        found = Identity.load(self.pid_file("supervisor"))
        return found if found and self.is_locked() and found.alive() else None

    def who_runs(self) -> str:
        """One sentence about the stack that holds this home."""
        state = self.read_state()
        pid = f" (pid {state['pid']})" if state.get("pid") else ""
        at = f" at {state['url']}" if state.get("url") else ""
        return f"Souk runs already on {self.path}{pid}{at}. `souk status` shows it, `souk down` stops it."

    def read_state(self) -> dict[str, Any]:
        """What the supervisor last wrote of its services; empty when it wrote nothing."""
        try:
            state = json.loads(self.state.read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def secrets(self) -> Mapping[str, str]:
        """The passwords of the servers of this home and the key that signs; made at the first call.

        Raises StackError when they were lost while a database that needs them is there.
        """
        path = self.path / "secrets.json"
        try:
            kept = json.loads(path.read_text()) if path.exists() else {}
        except ValueError as error:
            raise StackError(
                f"{path} cannot be read ({error}). Put it back from a copy, or `souk reset --yes` "
                "to begin with an empty database."
            ) from error
        if not kept and (self.path / "postgres" / "data").exists():
            raise StackError(
                f"{path} is missing: nobody can sign in to the database beside it. Put it back from a "
                "copy, or `souk reset --yes` to begin with an empty database."
            )
        made = {name: secrets.token_urlsafe(32) for name in SECRET_NAMES if name not in kept}
        if made:
            kept |= made
            write_file(path, json.dumps(kept, indent=1))
        return {name: str(value) for name, value in kept.items()}

    def ports(self, *names: str) -> dict[str, int]:
        """A free loopback port for each name: the one it had last time, if that is free."""
        path = self.path / "ports.json"
        kept: dict[str, int] = {}
        with suppress(OSError, ValueError):
            kept = {str(name): int(port) for name, port in json.loads(path.read_text()).items()}
        for name in names:
            others = {port for other, port in kept.items() if other != name}
            port = kept.get(name, 0)
            kept[name] = port if port and port not in others and port_is_free(port) else free_port(others)
        write_file(path, json.dumps(kept))
        return {name: kept[name] for name in names}


def write_file(path: Path, text: str) -> None:
    """Write a file that only we may read. A reader sees the old or the new one, and a crash leaves one of them."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(taken: set[int] | None = None) -> int:
    """A free loopback port below the kernel's range of outgoing ones.

    In that range a client that knocks at a closed port can be given the very port it knocks at, and then holds it.
    """
    with suppress(OSError):
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        for _ in range(100):
            port = random.randint(10_000, max(low - 1, 12_000))  # noqa: S311 - no secret
            if port not in (taken or set()) and port_is_free(port):
                return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
