"""What a webhook may do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from statemachine import State

from souk.kit.machine import Life, Party


class WebhookMachine(Life):
    """It is sent to while it is enabled. Its owner switches it off and on; Souk switches it off when nobody answers."""

    enabled = State("ENABLED", value="ENABLED", initial=True)
    disabled = State("DISABLED", value="DISABLED")

    disable = enabled.to(disabled)
    enable = disabled.to(enabled)

    actors: ClassVar[Mapping[str, tuple[Party, ...]]] = {
        "disable": ("buyer", "seller", "staff", "system"),
        "enable": ("buyer", "seller"),
    }


ENABLED, DISABLED = "ENABLED", "DISABLED"
