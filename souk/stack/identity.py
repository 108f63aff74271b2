"""Which process is which: a pid alone is a number that the kernel gives out again.

Everything here reads Linux's /proc.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

PROC = Path("/proc")
MARK = "SOUK_STACK_HOME"
_PR_SET_PDEATHSIG = 1
_PAGE = os.sysconf("SC_PAGE_SIZE")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of /proc/PID/stat that tell processes apart; `start` is in clock ticks since the boot."""

    state: str
    parent: int
    session: int
    start: int
    rss_bytes: int


def read_stat(pid: int) -> Stat | None:
    """The stat of a process, or None when there is none of that number or it only waits to be buried."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The command stands in parentheses and may hold spaces and parentheses itself.
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Stat(fields[0], int(fields[1]), int(fields[3]), int(fields[19]), int(fields[21]) * _PAGE)


def all_pids() -> Iterator[int]:
    """The number of every process there is now."""
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of this boot, for ever distinguishable from a later one with the same number."""

    pid: int
    start: int
    boot: str
    stop: int = signal.SIGTERM

    @classmethod
    def of(cls, pid: int, stop: signal.Signals = signal.SIGTERM) -> Identity | None:
        """The identity of the living process `pid`; `stop` is the signal that asks it to end."""
        stat = read_stat(pid)
        return cls(pid, stat.start, boot_id(), int(stop)) if stat else None

    @classmethod
    def load(cls, path: Path) -> Identity | None:
        """What `save` wrote, or None when the file is missing or was cut off by a crash."""
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    def alive(self) -> bool:
        """Whether this very process still runs."""
        stat = read_stat(self.pid)
        return stat is not None and stat.start == self.start and boot_id() == self.boot

    def signal(self, number: int) -> None:
        """Send a signal to this process, and to nobody when it is gone."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def boot_id() -> str:
    """Tells this boot from others: start times count from the boot."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def die_with_parent(parent: int, number: signal.Signals) -> Callable[[], None]:
    """Give what a child runs before its exec, so that it hears `number` when its parent dies, by whatever death."""

    def arm() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # died before the line above
            os._exit(1)

    return arm


def session_members(leader: Identity, home: Path) -> list[int]:
    """The living processes of the session that `leader` opened and that carry the mark of `home`.

    The mark guards a number that came round again: a session that somebody else opened is never touched.
    """
    mark = f"{MARK}={home}".encode()
    found = []
    for pid in all_pids():
        stat = read_stat(pid)
        if stat and stat.session == leader.pid and stat.start >= leader.start:
            with suppress(OSError):
                if mark in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                    found.append(pid)
    return found


def end_session(leader: Identity, home: Path, *, grace: float) -> None:
    """Ask `leader` to end, wait up to `grace` seconds, then kill what is left of its session."""
    leader.signal(leader.stop)
    wait_until(lambda: not leader.alive(), seconds=grace)
    leader.signal(signal.SIGKILL)
    for pid in session_members(leader, home):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not leader.alive() and not session_members(leader, home), seconds=5)


def wait_until(holds: Callable[[], bool], *, seconds: float, every: float = 0.05) -> bool:
    """Poll until `holds()` is true or the time is over; says which."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every)
    return True


def tree_rss_bytes(root: int) -> int:
    """The resident memory of a process and all its descendants, with memory that they share among them counted once.

    What shares a file's pages (programs, libraries) counts them each time, so this is never too little.
    """
    stats = {pid: stat for pid in all_pids() if (stat := read_stat(pid))}
    own, shared, waiting = 0, 0, [root]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            apart = shared_bytes(pid)
            own += stats[pid].rss_bytes - apart
            shared = max(shared, apart)
        waiting.extend(child for child, stat in stats.items() if stat.parent == pid)
    return own + shared


def shared_bytes(pid: int) -> int:
    """How much of a process's resident memory is shared memory: PostgreSQL's buffers, in every one of its processes."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("RssShmem:"):
                return int(line.split()[1]) << 10
    return 0
