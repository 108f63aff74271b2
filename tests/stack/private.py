"""A whole Souk of the tests' own: its home in a temporary folder, its ports free ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_SECONDS = 240


def bare_environment() -> dict[str, str]:
    """Our environment without anything that names a running Souk."""
    kept = ("SOUK_DATA",)
    named = ("SOUK_", "DEBEZIUM_", "DJANGO_")
    return {name: value for name, value in os.environ.items() if name in kept or not name.startswith(named)}


def wait_for(holds: Callable[[], bool], *, what: str, seconds: float = 60) -> None:
    """Poll until `holds()`; fail the test with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.1)


@dataclass
class SoukStack:
    """One home and the commands on it. `environment` is what a process needs to reach the running stack."""

    home: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    def souk(self, *arguments: str, seconds: float = START_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run one `souk` command on this home."""
        return subprocess.run(
            [sys.executable, "-m", "souk", *arguments],
            env={**bare_environment(), "SOUK_HOME": str(self.home), **self.extra},
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip

    def up(self, *arguments: str) -> None:
        """Start it, and fail with what it said when it does not become ready."""
        done = self.souk("up", "--detach", "--port", "0", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def down(self) -> None:
        self.souk("down")

    @property
    def environment(self) -> dict[str, str]:
        """The addresses and keys of the running stack, over our own environment."""
        lines = (self.home / "run" / "environment").read_text().splitlines()
        return {**bare_environment(), **dict(line.split("=", 1) for line in lines), **self.extra}

    @property
    def base_url(self) -> str:
        """Where its API answers, without a slash at the end."""
        return str(self.state()["url"])

    def state(self) -> dict[str, Any]:
        """What its supervisor wrote of itself."""
        found = json.loads((self.home / "run" / "state.json").read_text())
        assert isinstance(found, dict)
        return found

    def status(self) -> dict[str, Any]:
        """`souk status --json`."""
        found = json.loads(self.souk("status", "--json").stdout)
        assert isinstance(found, dict)
        return found

    def service(self, name: str) -> dict[str, Any]:
        """One service of the state: `pid`, `state`, `restarts`."""
        return dict(next(service for service in self.state()["services"] if service["name"] == name))

    def kill(self, name: str) -> int:
        """Kill a service without a warning; the pid it had."""
        pid = int(self.service(name)["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_restarted(self, name: str, *, than: int, seconds: float = 60) -> None:
        """Wait until a service is ready again in a process other than `than`."""
        wait_for(
            lambda: self.service(name)["state"] == "ready" and self.service(name)["pid"] != than,
            what=f"{name} is ready again",
            seconds=seconds,
        )

    def processes(self) -> list[str]:
        """The command line of every process that belongs to this home."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    environ, command = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
                    data = str((folder / "cwd").readlink())
                except OSError:
                    continue
                ours = f"SOUK_STACK_HOME={self.home}".encode() in environ.split(b"\0")
                if ours or data.startswith(str(self.home)):
                    found.append(command.replace(b"\0", b" ").decode(errors="replace"))
        return found
