"""How the lag of a replica is told from places in the primary's log."""

from __future__ import annotations

from souk.kit.postgresql.replica import Places


def test_a_replica_is_as_late_as_the_oldest_place_that_it_has_not_passed() -> None:
    places = Places()
    for place, at in ((100, 1.0), (200, 2.0), (300, 3.0)):
        places.note(place, at)
    assert places.seconds_behind(250, now=3.5) == 1.5
    assert places.seconds_behind(300, now=3.5) == 0.5


def test_an_idle_primary_makes_no_replica_late() -> None:
    places = Places()
    for at in range(100):
        places.note(100, float(at))
    assert places.seconds_behind(100, now=99.25) == 0.25


def test_nothing_is_known_of_a_replica_that_is_behind_all_that_was_seen() -> None:
    places = Places()
    assert places.seconds_behind(100, now=1.0) is None
    places.note(100, 1.0)
    assert places.seconds_behind(99, now=2.0) is None
