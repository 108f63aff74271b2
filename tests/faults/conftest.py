"""The stack that the faults are done to, and which faults are asked for."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.catalogue import BY_NAME, FAULTS
from tests.faults.ground import Ground
from tests.faults.scene import Fault
from tests.sources import ROOT

# What `make test` plays: together under six minutes, most of which is the start of the stack.
SHORT = ("shuffled", "cut_after_commit", "worker_killed", "database_killed")


def seeds_asked_for(text: str) -> list[int]:
    """`3` is 1 to 3, `4-6` is 4 to 6, `7,9` is these two."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        found += range(int(first), int(last) + 1) if dash else [int(first)]
    return list(range(1, found[0] + 1)) if text.isdecimal() else found


def faults_asked_for(text: str) -> list[Fault]:
    """Names or numbers, separated by commas; all of them for an empty text. Raises KeyError."""
    by_number = {str(fault.number): fault for fault in FAULTS}
    return [by_number.get(one) or BY_NAME[one] for one in text.split(",") if one] or list(FAULTS)


def rounds_asked_for() -> list[tuple[Fault, int]]:
    """Seed after seed, each with all the faults: so a process that was killed has lived for a while before the next."""
    if "FAULT_SEEDS" not in os.environ:
        return [(BY_NAME[name], 1) for name in SHORT]
    asked = faults_asked_for(os.environ.get("FAULTS", ""))
    return [(fault, seed) for seed in seeds_asked_for(os.environ["FAULT_SEEDS"]) for fault in asked]


class Grounds:
    """The stack of all rounds; after a broken one, a new one."""

    def __init__(self) -> None:
        self._ground: Ground | None = None

    def take(self) -> Ground:
        """A stack that is up."""
        if self._ground is None:
            # Not among the temporary folders of pytest, whose next run closes their root to PostgreSQL's own user.
            ground = self._ground = Ground(Path(tempfile.mkdtemp(prefix="souk-faults-")))
            ground.up()
        return self._ground

    def give_up(self, kept: Path | None = None) -> None:
        """Stop the stack; its logs are kept where `kept` says."""
        if self._ground is not None:
            ground, self._ground = self._ground, None
            if kept:
                shutil.copytree(ground.stack.home / "log", kept, dirs_exist_ok=True)
            ground.down()
            shutil.rmtree(ground.stack.home)


@pytest.fixture(scope="session")
def grounds() -> Iterator[Grounds]:
    """Whoever needs a stack takes it here."""
    found = Grounds()
    yield found
    found.give_up()


@pytest.fixture(scope="session")
def histories() -> Path:
    """Where the histories of the rounds are kept."""
    return ROOT / ".souk" / "faults"
