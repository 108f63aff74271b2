"""Every race, with every seed: `make test-races`, or `RACE_SEEDS=20 pytest tests/races`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.races.conftest import SEEDS
from tests.races.scenarios import SCENARIOS
from tests.races.world import World


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_invariants_hold_after_the_race(
    race_port: int, clean_database: None, scenario: Callable[[World], None], seed: int
) -> None:
    with World(race_port, seed) as world:
        scenario(world)
