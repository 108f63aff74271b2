"""What a payment may do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from statemachine import State

from souk.kit.machine import Life, Party


class PaymentMachine(Life):
    """One attempt to be paid: asked for, then captured or declined; money that nobody waits for is given back."""

    requested = State("REQUESTED", value="REQUESTED", initial=True)
    captured = State("CAPTURED", value="CAPTURED")
    declined = State("DECLINED", value="DECLINED")
    refunded = State("REFUNDED", value="REFUNDED", final=True)

    capture = requested.to(captured)
    decline = requested.to(declined)
    refund = captured.to(refunded) | declined.to(refunded)  # a charge that came to light after the giving up

    actors: ClassVar[Mapping[str, tuple[Party, ...]]] = {
        "capture": ("system",),
        "decline": ("system",),
        "refund": ("system",),
    }


REQUESTED, CAPTURED, DECLINED, REFUNDED = "REQUESTED", "CAPTURED", "DECLINED", "REFUNDED"
