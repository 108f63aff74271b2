"""What the supervisor runs, as data: services that stay and tasks that end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict


class StackError(Exception):
    """The stack cannot start or go on. The text says what is wrong and what to do, to a person at a terminal."""


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system's user that a service runs as, where it may not run as the one who started it."""

    name: str
    uid: int
    gid: int


class RunAs(TypedDict, total=False):
    """What `subprocess` is told to run something as another user."""

    user: int
    group: int
    extra_groups: list[int]


def run_as(account: Account | None) -> RunAs:
    """How to start a process as `account`; as the caller when that is None."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def do_nothing() -> None:
    """The `prepare` and `provision` of a service that needs neither."""


def always_ready() -> bool:
    """The `ready` of a service that opens no door: it is up as soon as it has settled."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process that stays. It is ready when it lived for `settle` seconds and `ready()` is true.

    `prepare` runs before every start, `provision` after the first time it became ready; both may raise StackError.
    `ready` never raises and answers within about two seconds. Times are in seconds.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    prepare: Callable[[], None] = do_nothing
    ready: Callable[[], bool] = always_ready
    provision: Callable[[], None] = do_nothing
    account: Account | None = None
    stop: signal.Signals = signal.SIGTERM
    settle: float = 0.0
    patience: float = 60.0
    grace: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A process that ends. The start goes on when it ended with 0 within `patience` seconds, and fails otherwise."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    patience: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Services that start together, or a task; the next stage waits until all of it is ready."""

    services: tuple[Service, ...] = ()
    tasks: tuple[Task, ...] = field(default=())
