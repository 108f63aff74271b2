"""The page says what the runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.checking import Violation
from tests.faults.conftest import SHORT, faults_asked_for, seeds_asked_for
from tests.faults.rounds import Outcome
from tests.faults.table import PAGE, add_run, read_runs, rendered, with_tables


def outcome(seed: int, *, violated: bool = False) -> Outcome:
    """A round of the first fault."""
    return Outcome(
        fault="api_killed", seed=seed, requests=100, unknown=3, refused=2, seconds=30.0, repaired=8.0 + seed,
        struck={"API processes killed": 2}, violations=[Violation("I2", "an order is gone")] if violated else [],
    )  # fmt: skip


def test_runs_are_added_and_the_tables_sum_them_up(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for one in (outcome(1), outcome(2), outcome(2, violated=True)):
        add_run(one, path)
    runs = read_runs(path)
    assert [run.violations for run in runs] == [[], [], ["I2: an order is gone"]]
    text = rendered(runs)
    assert "| 1 | `kill -9` of API processes under load | 2 | 3 | 300 | 9 | 6 | 10 s, 10 s | 1 |" in text
    assert "| | **all** | 2 | 3 | 300 | 9 | 6 | | **1** |" in text
    assert "| 1 | `api_killed` | 3 of 3 | API processes killed | 6 API processes killed |" in text
    assert "| 15 | `slot_lost` | 0 of 0 | slots lost | never run |" in text


def test_the_page_has_the_tables_of_the_runs_that_are_kept() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text, rendered(read_runs())) == text, "make it anew: python -m tests.faults.table"


def test_there_are_fifteen_faults_and_the_short_set_names_some_of_them() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 16))
    assert len({fault.name for fault in FAULTS}) == 15
    assert set(SHORT) < {fault.name for fault in FAULTS}
    text = PAGE.read_text(encoding="utf-8")
    assert [fault.name for fault in FAULTS if f"| `{fault.name}` |" not in text] == []


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [1, 2, 3]), ("4-6", [4, 5, 6]), ("7,9", [7, 9]), ("1,4-5", [1, 4, 5])]
)
def test_seeds_are_asked_for_as_a_number_a_span_or_a_list(text: str, seeds: list[int]) -> None:
    assert seeds_asked_for(text) == seeds


def test_faults_are_asked_for_by_name_or_number() -> None:
    assert [fault.number for fault in faults_asked_for("slot_lost,7")] == [15, 7]
    assert len(faults_asked_for("")) == 15
