"""What a fault is, and what it works with."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from tests.faults.ground import Ground
from tests.faults.listening import Tail
from tests.faults.players import Play


@dataclass
class Scene:
    """One round of a fault. `struck` counts what it really did; that is what the table shows.

    `recovered_at` is when the API must serve again; None: when every part runs again.
    """

    ground: Ground
    chance: random.Random
    seed: int
    play: Play
    tail: Tail
    struck: Counter[str] = field(default_factory=Counter)
    recovered_at: float | None = None


@contextmanager
def served_by_the_stack(ground: Ground, chance: random.Random) -> Iterator[tuple[Sequence[str], object]]:
    """The players speak to the stack's own API."""
    yield [ground.url], None


# Patterns of addresses: none at all, and all.
NOTHING, EVERYTHING = "$^", ""
Setting = Callable[[Ground, random.Random], AbstractContextManager[tuple[Sequence[str], object]]]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One of the fifteen.

    `strike` gets the scene and what `setting` gave beside the addresses of the API. While it strikes the API may answer
    503 or nothing, at the addresses that the pattern `disturbs` matches. `must` names what is counted when it bit;
    `missing` says why this machine cannot have it, or is empty. `whole`: every event must come by its stream all the
    same, late or twice; else the reconciler alone may have brought it.
    """

    number: int
    name: str
    says: str
    must: str
    strike: Callable[[Scene, object], None]
    disturbs: str = NOTHING
    setting: Setting = served_by_the_stack
    whole: bool = True
    missing: Callable[[], str] = lambda: ""
