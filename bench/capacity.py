"""`python -m bench.capacity --lists 500 --orders 20`: how many cores each part needs, from what was measured.

The inputs are the processor times per answer in bench/results; the model is their sum, and nothing more: it knows no
queues, so plan for half of what a core could do. docs/scaling.md says which part to make larger first.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
# A page with a search of a common word, a product, and the list: the doors that a visitor walks through.
READS = {"lists": "list", "searches": "search, 27 % match", "shows": "show"}
PARTS = {"postgres": "postgresql"}
BUSY = 0.5


def cores_needed(wanted: Mapping[str, float]) -> Counter[str]:
    """Cores per part for these rates per second (`lists`, `searches`, `shows`, `orders`)."""
    doors = _read("search-10000")["doors"]
    needed: Counter[str] = Counter()
    for name, door in READS.items():
        needed["api"] += wanted[name] * doors[door]["api_cpu_ms"] / 1000
        needed["postgresql"] += wanted[name] * doors[door]["database_cpu_ms"] / 1000
    # What an order costs every part on its way to ACCEPTED, on a running stack whose cores were full.
    for part, milliseconds in _read("orders_sustained")["processor_ms_per_order"].items():
        if part != "clients":
            needed[PARTS.get(part, part)] += wanted["orders"] * milliseconds / 1000
    return Counter({part: cores / BUSY for part, cores in needed.items()})


def main() -> None:
    """Print a line per part."""
    parser = argparse.ArgumentParser(description="Cores per part, from what was measured.")
    for name, rate in (("lists", 500.0), ("searches", 100.0), ("shows", 200.0), ("orders", 20.0)):
        parser.add_argument(f"--{name}", type=float, default=rate, help=f"per second ({rate:g})")
    wanted = vars(parser.parse_args())
    for part, cores in cores_needed(wanted).most_common():
        print(f"{part:<12}{cores:6.2f} cores")  # noqa: T201  # a measurement talks to a terminal


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
