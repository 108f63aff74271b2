"""The table of faults, seeds and violations: runs are added to a file, and the page is made from it.

`python -m tests.faults.table` writes the page anew.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tests.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from tests.faults.rounds import Outcome
    from tests.faults.scene import Fault

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "tests" / "faults" / "runs.jsonl"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- made by tests/faults/table.py -->", "<!-- end -->"


class Run(msgspec.Struct, kw_only=True):
    """One round as it is kept; violations as texts that begin with their invariant."""

    fault: str
    seed: int
    requests: int
    unknown: int
    refused: int
    seconds: float
    repaired: float
    struck: dict[str, int]
    violations: list[str]


def add_run(outcome: Outcome, path: Path = RUNS) -> None:
    """Add a round to the file."""
    told = [f"{one.invariant}: {one.text}"[:300] for one in outcome.violations]
    run = Run(**{**{name: getattr(outcome, name) for name in Run.__struct_fields__}, "violations": told})
    with path.open("ab") as file:
        file.write(msgspec.json.encode(run) + b"\n")


def read_runs(path: Path = RUNS) -> list[Run]:
    """Every round that was added."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Run) for line in lines]


def rendered(runs: Sequence[Run]) -> str:
    """The two tables of the page: what came of each fault, and what it really did."""
    lines = [
        "| | fault | seeds | runs | requests | no answer | 503 | settled after (median, longest) | violations |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    done = [_row(fault.number, fault.says, [run for run in runs if run.fault == fault.name]) for fault in FAULTS]
    seeds = sum(len({run.seed for run in runs if run.fault == fault.name}) for fault in FAULTS)
    broken = sum(bool(run.violations) for run in runs)
    asked, silent, refused = (
        sum(getattr(run, name) for run in runs) for name in ("requests", "unknown", "refused")
    )  # fmt: skip
    lines += [*done, f"| | **all** | {seeds} | {len(runs)} | {asked} | {silent} | {refused} | | **{broken}** |", ""]
    lines += ["What struck, and what was seen of it, summed over the runs of each fault:", ""]
    lines += ["| | fault | it bit in | counted by | what happened |", "|---|---|---|---|---|"]
    lines += [_bites(fault, [run for run in runs if run.fault == fault.name]) for fault in FAULTS]
    return "\n".join(lines)


def write_page(page: Path = PAGE, runs: Path = RUNS) -> None:
    """Put the tables into the page, between its marks."""
    page.write_text(with_tables(page.read_text(), rendered(read_runs(runs))))


def with_tables(text: str, tables: str) -> str:
    """The page with these tables between its marks."""
    return re.sub(rf"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{tables}\n{END}", text, flags=re.DOTALL)


def _bites(fault: Fault, runs: Sequence[Run]) -> str:
    struck: Counter[str] = Counter()
    for run in runs:
        struck.update(run.struck)
    bitten = sum(run.struck.get(fault.must, 0) > 0 for run in runs)
    told = ", ".join(f"{count:,} {what}" for what, count in struck.items()) or "never run"
    return f"| {fault.number} | `{fault.name}` | {bitten} of {len(runs)} | {fault.must} | {told} |"


def _row(number: int, says: str, runs: Sequence[Run]) -> str:
    times = sorted(run.repaired for run in runs)
    settled = f"{times[len(times) // 2]:.0f} s, {times[-1]:.0f} s" if times else ""
    figures: list[Any] = [
        len({run.seed for run in runs}), len(runs), sum(run.requests for run in runs),
        sum(run.unknown for run in runs), sum(run.refused for run in runs), settled,
        sum(bool(run.violations) for run in runs),
    ]  # fmt: skip
    return f"| {number} | {says} | " + " | ".join(str(figure) for figure in figures) + " |"


if __name__ == "__main__":
    write_page()
