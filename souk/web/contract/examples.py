"""Examples of requests and answers, as a test took them from a running server (`docs/examples/`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

Exchange = dict[str, Any]


@dataclass(frozen=True)
class Examples:
    """A folder with one file per operation, each a list of `{title, request, answer}`; narrowed to one `operation`."""

    folder: Path
    operation: str | None = None

    @cached_property
    def exchanges(self) -> dict[str, list[Exchange]]:
        """By operation."""
        return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(self.folder.glob("*.json"))}

    def of(self, operation: str) -> Examples:
        """The examples of this operation."""
        return replace(self, operation=operation)

    def requests(self) -> dict[str, Any]:
        """Bodies that were sent and taken, by title."""
        return {
            _key(one): {"summary": one["title"], "value": one["request"]["body"]}
            for one in self._own()
            if one["answer"]["status"] < 300 and one["request"].get("body") is not None
        }

    def answers(self, status: int) -> dict[str, Any]:
        """JSON bodies that were answered with this status, by title."""
        return {
            _key(one): {"summary": one["title"], "value": one["answer"]["body"]}
            for one in self._own()
            if one["answer"]["status"] == status and isinstance(one["answer"].get("body"), dict)
        }

    def problems(self, codes: Iterable[str]) -> dict[str, Any]:
        """Problems of these codes, by code: this operation's own, and another's where it has none."""
        found = {code: one for code in codes if (one := self.problem(code)) is not None}
        return {code: {"summary": one["title"], "value": one["answer"]["body"]} for code, one in found.items()}

    def problem(self, code: str) -> Exchange | None:
        """An exchange that ended in this problem, one of this operation if it can be."""
        everything = [one for exchanges in self.exchanges.values() for one in exchanges]
        ended = [one for one in (*self._own(), *everything) if _code(one) == code]
        return ended[0] if ended else None

    def _own(self) -> list[Exchange]:
        return self.exchanges.get(self.operation or "", [])


def _code(exchange: Exchange) -> str | None:
    body = exchange["answer"].get("body")
    return body.get("code") if isinstance(body, dict) else None


def _key(exchange: Exchange) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in exchange["title"].lower()).strip("_")
