"""The two processes that act with nobody at the door: the worker hears events, the clock keeps deadlines."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from souk.stack.service import Service

# Neither opens a door that could be knocked at: one that is still there after this has everything it needs.
SETTLE_SECONDS = 3.0


def worker(*, env: Mapping[str, str], cwd: Path) -> Service:
    """The consumer of the streams. It ends its current event before it stops."""
    return _process("worker", env=env, cwd=cwd, grace=35.0)


def clock(*, env: Mapping[str, str], cwd: Path) -> Service:
    """The keeper of deadlines."""
    return _process("clock", env=env, cwd=cwd, grace=35.0)


def _process(name: str, *, env: Mapping[str, str], cwd: Path, grace: float) -> Service:
    return Service(
        name=name,
        argv=(sys.executable, "-m", "souk", name),
        env={**env, "SOUK_PROCESS": name},
        cwd=cwd,
        settle=SETTLE_SECONDS,
        grace=grace,
    )
