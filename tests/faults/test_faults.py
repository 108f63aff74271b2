"""Every fault that was asked for, with every seed: `make test-faults SEEDS=3 FAULTS=slot_lost,7`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.checking import Violation
from tests.faults.conftest import Grounds, rounds_asked_for
from tests.faults.rounds import Outcome, play_round
from tests.faults.scene import Fault
from tests.faults.table import add_run, write_page


@pytest.mark.parametrize(
    ("fault", "seed"), rounds_asked_for(), ids=lambda one: one.name if isinstance(one, Fault) else str(one)
)
def test_the_invariants_hold_after_the_fault(grounds: Grounds, histories: Path, fault: Fault, seed: int) -> None:
    if reason := fault.missing():
        pytest.skip(reason)
    ground = grounds.take()
    try:
        outcome = play_round(ground, fault, seed, histories)
    except Exception as error:
        grounds.give_up(histories / f"{fault.name}-{seed}.log")
        _keep(Outcome(fault.name, seed, 0, 0, 0, 0.0, 0.0, {}, [Violation("the round broke", str(error))]))
        raise
    _keep(outcome)
    print(f"\n{fault.name} {seed}: {outcome}")  # noqa: T201  # what struck is what this test is about
    if outcome.violations:
        grounds.give_up(histories / f"{fault.name}-{seed}.log")
    assert outcome.violations == []
    assert outcome.struck.get(fault.must, 0) > 0, f"it did not bite: {outcome.struck}"


def _keep(outcome: Outcome) -> None:
    if os.environ.get("FAULT_TABLE"):
        add_run(outcome)
        write_page()
