"""What the streams did not bring is found by comparing the log with what was heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction

from souk.eventlog.models import Event
from souk.eventlog.operations import database_now
from souk.kit.entity import floor_of, new_id
from souk.reactions import reconciler
from souk.reactions.hearing import mark_heard
from souk.reactions.models import Beginning, Processed, Retry
from souk.reactions.parking import begin_again
from souk.reactions.progress import note_progress
from souk.reactions.reaction import Consumer
from souk.reactions.reaction import Event as HeardEvent
from souk.reactions.reconciler import reconcile, reconcile_all, try_again
from tests.hearers import (
    at_once,
    forget_samples,
    hear,
    heard_of,
    let_tries_be_due,
    letters,
    mend,
    processed,
    sample_consumer,
    tell,
    tries,
)

# Ids tell the millisecond: a search without an age would miss those of this one.
AT_ONCE = timedelta(seconds=-1)


@pytest.fixture(autouse=True)
def samples(clean_database: None) -> Iterator[None]:
    yield
    forget_samples()


@pytest.fixture
def consumer() -> Consumer:
    return sample_consumer()


@pytest.fixture
def sample() -> UUID:
    return new_id()


def tell_earlier(subject_id: UUID, sequence: int, ago: timedelta, **data: object) -> Event:
    """An event whose id was made that long ago."""
    event = tell(subject_id, sequence, **data)
    earlier = UUID(int=floor_of(database_now() - ago).int | event.id.int & ((1 << 80) - 1))
    Event.objects.filter(id=event.id).update(id=earlier)
    return Event.objects.get(id=earlier)


def test_it_finds_what_nobody_heard_and_leaves_what_was_heard(consumer: Consumer, sample: UUID) -> None:
    told = [tell(sample, number) for number in (1, 2, 3)]
    hear(consumer, sample)
    missed = [tell(sample, 4), tell(new_id(), 1), tell(new_id(), 1)]
    assert reconcile([consumer], age=AT_ONCE) == 3
    assert processed() == {event.id for event in told + missed}
    assert heard_of(sample) == [1, 2, 3, 4]
    assert reconcile([consumer], age=AT_ONCE) == 0


def test_young_events_are_left_to_the_streams(consumer: Consumer, sample: UUID) -> None:
    young, old = tell(sample, 1), tell_earlier(new_id(), 1, timedelta(seconds=31))
    assert reconcile([consumer]) == 1
    assert processed() == {old.id}
    assert young.id not in processed()


def test_what_is_older_than_an_hour_is_found_by_the_search_over_everything(consumer: Consumer, sample: UUID) -> None:
    ages = [timedelta(days=9), timedelta(hours=3), timedelta(minutes=61), timedelta(minutes=5)]
    told = [tell_earlier(new_id(), 1, ago) for ago in ages]
    assert reconcile([consumer]) == 1
    assert processed() == {told[3].id}
    assert reconcile_all([consumer]) == 3
    assert processed() == {event.id for event in told}
    assert reconcile_all([consumer]) == 0


def test_who_is_further_behind_than_an_hour_need_not_wait_for_the_search_over_everything(
    consumer: Consumer, sample: UUID
) -> None:
    # The clock slept for longer than the streams kept what they had.
    heard, missed = (tell_earlier(sample, place, timedelta(hours=4 - place)) for place in (1, 2))
    Processed.objects.create(consumer=consumer.number, event_id=heard.id)
    note_progress([consumer])
    assert reconcile([consumer]) == 1
    assert missed.id in processed()
    assert heard_of(sample) == [2]


def test_an_empty_log_has_nothing_to_find(consumer: Consumer) -> None:
    assert reconcile_all([consumer]) == 0
    assert reconcile([consumer]) == 0


def test_what_failed_is_left_to_its_next_try(consumer: Consumer, sample: UUID) -> None:
    failing = tell(sample, 1, fails=True)
    assert reconcile([consumer], age=AT_ONCE) == 0
    assert tries() == {failing.id: 1}
    let_tries_be_due()
    assert reconcile([consumer], age=AT_ONCE) == 0
    assert tries() == {failing.id: 1}
    assert letters() == []


def test_a_try_that_was_overtaken_is_not_waited_for(consumer: Consumer, sample: UUID) -> None:
    # One asks the provider; another one, who thinks that nobody does, counts a try and dies; the first one ends well.
    told = tell(sample, 1)
    heard = HeardEvent(**{one.name: getattr(told, one.name) for one in fields(HeardEvent)})
    with transaction.atomic():
        begin_again(consumer, heard)
        mark_heard(consumer, [heard])
    let_tries_be_due()
    assert try_again([consumer]) == 0
    assert tries() == {}
    assert heard_of(sample) == []


def test_tries_of_a_consumer_that_is_no_more_hold_no_other_one_up(
    consumer: Consumer, sample: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "AT_ONCE", 1)
    failed = tell(sample, 1, fails=True)
    hear(sample_consumer(number=91), sample)
    hear(consumer, sample)
    mend([failed])
    let_tries_be_due()
    Retry.objects.filter(consumer=91).update(next_try_at=database_now() - timedelta(days=1))
    assert try_again([consumer]) == 1
    assert heard_of(sample) == [1]


def test_a_new_consumer_does_not_hear_the_history_before_its_beginning(consumer: Consumer, sample: UUID) -> None:
    old = tell_earlier(sample, 1, timedelta(minutes=10))
    Beginning.objects.create(consumer=consumer.number, after=old.id)
    new = tell_earlier(sample, 2, timedelta(minutes=9))
    assert reconcile_all([consumer]) == 1
    assert processed() == {new.id}


def test_two_reconcilers_at_once_have_each_effect_once(consumer: Consumer) -> None:
    subjects = [new_id() for _ in range(20)]
    told = [tell(subject, number).id for number in (1, 2) for subject in subjects]
    found: list[int] = []
    at_once([lambda: found.append(reconcile([consumer], age=AT_ONCE))] * 2)
    reconcile([consumer], age=AT_ONCE)
    assert {subject: heard_of(subject) for subject in subjects} == {subject: [1, 2] for subject in subjects}
    assert processed() == set(told)
