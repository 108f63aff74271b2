"""The races bite: with one rule broken, the race that is about it fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.serving import served
from tests.conftest import empty_tables
from tests.races.broken import RULES, broken, no_lock, no_order, no_unique_key, stale_clock
from tests.races.scenarios import (
    a_lock_is_held_past_the_deadline_and_let_go_without_a_change,
    fifty_identical_requests_carry_one_key,
    stock_is_reserved_in_any_order_of_lines,
    two_hundred_buyers_want_fifty_units,
)
from tests.races.world import World

TRIES = 5
# The race about each rule, and a part of what it says. Without the lock the last bolt, a CHECK constraint, keeps
# units from being sold twice: buyers hear of a defect where they should hear that there is none left.
ABOUT = {
    no_lock: (two_hundred_buyers_want_fifty_units, "internal_error"),
    no_order: (stock_is_reserved_in_any_order_of_lines, "a deadlock surfaced"),
    stale_clock: (a_lock_is_held_past_the_deadline_and_let_go_without_a_change, "'200': 4"),
    no_unique_key: (fifty_identical_requests_carry_one_key, " == 1"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_race_fails_once_its_rule_is_broken(
    race_environment: dict[str, str], clean_database: None, rule: Callable[[], None]
) -> None:
    race, reason = ABOUT[rule]
    noticed: list[str] = []
    with broken(rule), served(race_environment) as port:
        for seed in range(TRIES):
            try:
                with World(port, seed) as world:
                    race(world)
            except AssertionError as failure:
                noticed.append(str(failure))
                break
            finally:
                empty_tables()
    assert len(noticed) == 1, f"{rule.__name__} went unnoticed {TRIES} times"
    assert reason in noticed[0]
