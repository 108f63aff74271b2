"""How many requests were made from the contract and from the corpus, by who asked and in which phase."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

KEPT = os.environ.get("CONTRACT_COUNTS")  # a file to which every run adds a line, so that a long one may be split


@dataclass
class Counts:
    """Requests by (caller, phase) and by the first digit of the answer's status."""

    sent: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def add(self, caller: str, counted: Mapping[str, int]) -> None:
        """Add what one caller sent; the names are a phase and a kind of status, such as `fuzzing 4xx`."""
        for name, number in counted.items():
            phase, status = name.rsplit(" ", 1)
            self.sent.setdefault((caller, phase), Counter())[status] += number
        if KEPT:
            with Path(KEPT).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"caller": caller, **counted}) + "\n")

    def lines(self) -> list[str]:
        """The table, and the sum below it."""
        kinds = sorted({kind for counter in self.sent.values() for kind in counter})
        found = [f"{'caller':<12}{'phase':<12}{'requests':>10}" + "".join(f"{kind:>8}" for kind in kinds)]
        for (caller, phase), counter in self.sent.items():
            numbers = "".join(f"{counter[kind]:>8}" for kind in kinds)
            found.append(f"{caller:<12}{phase:<12}{counter.total():>10}{numbers}")
        return [*found, f"{'together':<24}{sum(counter.total() for counter in self.sent.values()):>10}"]
