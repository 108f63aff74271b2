"""What a search server answers to a search, as far as Souk reads it. What it leaves out is as below."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field


class Hit(Struct):
    """A product that was found, by the values that it was sorted by."""

    sort: list[Any]


class Hits(Struct):
    """Those of a page."""

    hits: list[Hit] = []


class Shards(Struct):
    """The parts of the index that were asked."""

    failed: int = 0


class Answer(Struct):
    """The whole."""

    timed_out: bool = False
    shards: Shards = field(name="_shards", default_factory=Shards)
    hits: Hits = field(default_factory=Hits)
