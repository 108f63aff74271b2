"""What an order may do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from statemachine import State

from souk.kit.machine import Life, Party


class OrderMachine(Life):
    """It holds stock while it waits for its confirmation, is charged when confirmed, and accepted when paid."""

    pending = State("PENDING_CONFIRMATION", value="PENDING_CONFIRMATION", initial=True)
    confirmed = State("CONFIRMED", value="CONFIRMED")
    accepted = State("ACCEPTED", value="ACCEPTED", final=True)
    not_confirmed = State("NOT_CONFIRMED", value="NOT_CONFIRMED", final=True)
    cancelled = State("CANCELLED", value="CANCELLED", final=True)

    confirm = pending.to(confirmed)
    cancel = pending.to(cancelled)
    expire = pending.to(not_confirmed)
    accept = confirmed.to(accepted)
    take_back = confirmed.to(pending)
    decline = confirmed.to(not_confirmed)

    actors: ClassVar[Mapping[str, tuple[Party, ...]]] = {
        "confirm": ("buyer",),
        "cancel": ("buyer", "staff"),
        "expire": ("system",),
        "accept": ("system",),
        "take_back": ("system",),
        "decline": ("system",),
    }
    timeouts: ClassVar[tuple[str, ...]] = ("expire",)


PENDING, CONFIRMED, ACCEPTED = "PENDING_CONFIRMATION", "CONFIRMED", "ACCEPTED"
NOT_CONFIRMED, CANCELLED = "NOT_CONFIRMED", "CANCELLED"
