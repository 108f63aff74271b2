"""One process of the stack: started with its output piped to us, bound to our life, ended with all it started."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from souk.stack.home import Home
from souk.stack.identity import MARK, Identity, die_with_parent, end_session, session_members
from souk.stack.output import LINE_BYTES
from souk.stack.service import Service, StackError, Task, run_as

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
FORGIVEN_AFTER = 60.0
MOST_CHUNKS = 16


@dataclass(slots=True)
class Child:
    """A service or task and its process. `state`: waiting, starting, ready, restarting, stopping, stopped."""

    what: Service | Task
    home: Home
    state: str = "waiting"
    restarts: int = 0
    pause: float = FIRST_PAUSE
    process: subprocess.Popen[bytes] | None = None
    identity: Identity | None = None
    pipe: int = -1
    began: float = 0.0
    restart_at: float = 0.0
    probe_at: float = 0.0
    was_ready: bool = False
    _rest: bytes = field(default=b"")

    @property
    def name(self) -> str:
        return self.what.name

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self) -> None:
        """Start the process. Raises StackError when the program cannot be run."""
        stop, account = signal.SIGTERM, None
        if isinstance(self.what, Service):
            stop, account = self.what.stop, self.what.account
            try:
                self.what.prepare()
            except OSError as error:
                # Such as a full disk of the streams: that alone must not end whoever looks after all the others.
                raise StackError(f"{self.name} cannot be prepared: {error}.") from error
        reader, writer = os.pipe()
        try:
            self.process = subprocess.Popen(
                self.what.argv,
                env={**self.what.env, MARK: str(self.home.path)},
                cwd=self.what.cwd,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops the rest in order
                preexec_fn=die_with_parent(os.getpid(), stop),  # noqa: PLW1509 - one thread only
                **run_as(account),
            )
        except OSError as error:
            os.close(reader)
            raise StackError(f"{self.name} cannot be started: {error}. `souk doctor` looks for the reason.") from error
        finally:
            os.close(writer)
        os.set_blocking(reader, False)
        self.pipe, self.began, self.state, self._rest = reader, time.monotonic(), "starting", b""
        self.identity = Identity.of(self.process.pid, stop)
        if self.identity:
            self.identity.save(self.home.pid_file(self.name))

    def read_lines(self) -> list[str]:
        """The whole lines that arrived, up to a megabyte. Closes the pipe at its end (`pipe` is -1 then)."""
        chunks = [self._rest]
        with suppress(BlockingIOError):
            while len(chunks) < MOST_CHUNKS and self.pipe != -1:
                chunks.append(os.read(self.pipe, 65_536))
                if not chunks[-1]:
                    os.close(self.pipe)
                    self.pipe = -1
        *lines, self._rest = b"".join(chunks).split(b"\n")
        if self._rest and (self.pipe == -1 or len(self._rest) > LINE_BYTES):
            lines.append(self._rest)
            self._rest = b""
        return [line.decode("utf-8", "replace").rstrip("\r") for line in lines]

    def exit_code(self) -> int | None:
        """The exit code once the process has ended; negative: by that signal."""
        return self.process.poll() if self.process else None

    def bury(self) -> None:
        """After the process has ended: end what it started and forget it."""
        if self.identity:
            for pid in session_members(self.identity, self.home.path):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.home.pid_file(self.name).unlink(missing_ok=True)
        self.process = self.identity = None

    def plan_restart(self, now: float) -> float:
        """Decide when to start again, later each time it dies young; the seconds until then."""
        if now - self.began > FORGIVEN_AFTER:
            self.pause = FIRST_PAUSE
        pause, self.pause = self.pause, min(self.pause * 2, LONGEST_PAUSE)
        self.restarts += 1
        self.state, self.restart_at = "restarting", now + pause
        return pause

    def ask_to_stop(self) -> None:
        self.state = "stopping"
        self._send(self.what.stop if isinstance(self.what, Service) else signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.process:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)


def described_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"


def stop_orphans(home: Home, *, say: Callable[[str], None], grace: float = 15.0) -> None:
    """Stop what a killed supervisor of this home left running; the processes of others are never touched."""
    for path in sorted(set(home.run.glob("*.pid")) - {home.pid_file("supervisor")}, key=stop_order):
        identity = Identity.load(path)
        if identity and (identity.alive() or session_members(identity, home.path)):
            say(f"{path.stem} (pid {identity.pid}) is left from a stack that was killed: stopping it")
            end_session(identity, home.path, grace=grace)
        path.unlink(missing_ok=True)


def stop_order(path: Path) -> tuple[bool, str]:
    """Servers last, so that their clients can still say goodbye."""
    return path.stem in ("postgres", "streams", "cache"), path.stem
