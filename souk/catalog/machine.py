"""What a product may do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from statemachine import State

from souk.kit.machine import Life, Party


class ProductMachine(Life):
    """Only an ACTIVE product is seen by others and can be bought."""

    draft = State("DRAFT", value="DRAFT", initial=True)
    active = State("ACTIVE", value="ACTIVE")
    archived = State("ARCHIVED", value="ARCHIVED")

    activate = draft.to(active) | archived.to(active)
    archive = active.to(archived)

    actors: ClassVar[Mapping[str, tuple[Party, ...]]] = {"activate": ("seller",), "archive": ("seller", "staff")}


DRAFT, ACTIVE, ARCHIVED = "DRAFT", "ACTIVE", "ARCHIVED"
