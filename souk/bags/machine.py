"""What a bag may do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from statemachine import State

from souk.kit.machine import Life, Party


class BagMachine(Life):
    """It is filled and emptied while it is open, becomes an order once, and is given up when nobody touches it."""

    filling = State("OPEN", value="OPEN", initial=True)
    ordered = State("ORDERED", value="ORDERED", final=True)
    abandoned = State("ABANDONED", value="ABANDONED", final=True)

    order = filling.to(ordered)
    abandon = filling.to(abandoned)

    actors: ClassVar[Mapping[str, tuple[Party, ...]]] = {"order": ("buyer",), "abandon": ("system",)}
    timeouts: ClassVar[tuple[str, ...]] = ("abandon",)


OPEN, ORDERED, ABANDONED = "OPEN", "ORDERED", "ABANDONED"
