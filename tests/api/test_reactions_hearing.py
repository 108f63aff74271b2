"""Each event has its effect once, in the order of its subject, whoever calls and however often."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from uuid import UUID

import pytest
from django.db import connection, transaction

from souk.eventlog.models import Transition
from souk.kit.entity import new_id
from souk.reactions.hearing import LOCKS, Caught
from souk.reactions.models import Beginning, DeadLetter, Retry
from souk.reactions.parking import MOST_TRIES, PAUSES_SECONDS
from souk.reactions.reaction import Consumer
from souk.reactions.reconciler import try_again
from tests.hearers import (
    Killed,
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


def test_an_event_has_its_effect_once_however_often_it_is_heard(consumer: Consumer, sample: UUID) -> None:
    event = tell(sample, 1)
    assert hear(consumer, sample).ended == [event.id]
    assert hear(consumer, sample).ended == []
    assert hear(consumer, sample, again=True).ended == []
    assert heard_of(sample) == [1]
    assert processed() == {event.id}


def test_what_an_earlier_event_told_is_heard_first(consumer: Consumer, sample: UUID) -> None:
    later, earlier, other = tell(sample, 2), tell(sample, 1), tell(new_id(), 1)
    assert hear(consumer, sample).ended == [earlier.id, later.id]
    assert heard_of(sample) == [1, 2]
    assert other.id not in processed()


def test_two_consumers_hear_the_same_event_each_for_itself(sample: UUID) -> None:
    first, second = Consumer(name="first", number=91), Consumer(name="second", number=92)
    seen: list[str] = []
    first.on("sample.told")(lambda event: seen.append(f"first {event.sequence}"))
    second.on("sample.told")(lambda event: seen.append(f"second {event.sequence}"))
    tell(sample, 1)
    for consumer in (first, second, first, second):
        hear(consumer, sample)
    assert seen == ["first 1", "second 1"]


def test_events_of_types_that_a_consumer_does_not_hear_are_no_gap(sample: UUID) -> None:
    picky = Consumer(name="picky", number=93)
    seen: list[int] = []
    picky.on("sample.ended")(lambda event: seen.append(event.sequence))
    tell(sample, 1)
    ended = tell(sample, 2)
    type(ended).objects.filter(id=ended.id).update(type="sample.ended")
    assert hear(picky, sample).ended == [ended.id]
    assert seen == [2]
    assert processed() == {ended.id}


def test_an_effect_belongs_to_the_trace_of_its_event(consumer: Consumer, sample: UUID) -> None:
    tell(sample, 1)
    hear(consumer, sample)
    assert Transition.objects.get().actor == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_failing_effect_leaves_nothing_behind_and_those_behind_it_wait(consumer: Consumer, sample: UUID) -> None:
    first, failing, _last = tell(sample, 1), tell(sample, 2, fails=True), tell(sample, 3)
    assert hear(consumer, sample).ended == [first.id]
    assert heard_of(sample) == [1]
    assert processed() == {first.id}
    assert tries() == {failing.id: 1}
    assert "Unwilling: not this one" in Retry.objects.get().error
    # Until its next try is due nobody begins it, and nobody passes it.
    for again in (False, True):
        assert hear(consumer, sample, again=again).ended == []
    assert tries() == {failing.id: 1}
    assert letters() == []


def test_a_mended_event_is_heard_when_its_try_is_due_and_those_behind_it_follow(
    consumer: Consumer, sample: UUID
) -> None:
    failing, last = tell(sample, 1, fails=True), tell(sample, 2)
    hear(consumer, sample)
    mend([failing])
    assert try_again([consumer]) == 0
    let_tries_be_due()
    assert try_again([consumer]) == 2
    assert heard_of(sample) == [1, 2]
    assert processed() == {failing.id, last.id}
    assert tries() == {}


def test_the_pauses_between_tries_grow(consumer: Consumer, sample: UUID) -> None:
    tell(sample, 1, fails=True)
    pauses = []
    hear(consumer, sample)
    for _ in range(MOST_TRIES - 1):
        with connection.cursor() as cursor:
            cursor.execute("SELECT round(extract(epoch FROM next_try_at - clock_timestamp())) FROM reactions_retry")
            pauses.append(int(cursor.fetchone()[0]))
        let_tries_be_due()
        try_again([consumer])
    assert tuple(pauses) == PAUSES_SECONDS[:-1]


def test_after_the_last_try_it_is_a_dead_letter_and_the_next_one_is_heard(consumer: Consumer, sample: UUID) -> None:
    failing, last = tell(sample, 1, fails=True, word="ünhörbar"), tell(sample, 2)
    hear(consumer, sample)
    for _ in range(MOST_TRIES - 2):
        let_tries_be_due()
        try_again([consumer])
    assert tries() == {failing.id: MOST_TRIES - 1}
    assert letters() == []
    let_tries_be_due()
    assert try_again([consumer]) == 2
    letter = DeadLetter.objects.get()
    assert (letter.consumer, letter.event_id) == ("samples", failing.id)
    assert letter.event["data"] == {"fails": True, "word": "ünhörbar"}
    assert letter.event["subject_id"] == str(sample)
    assert "Unwilling: not this one" in letter.error
    assert processed() == {failing.id, last.id}
    assert heard_of(sample) == [2]
    assert tries() == {}


def test_an_event_that_ends_the_process_is_counted_and_parked(consumer: Consumer, sample: UUID) -> None:
    deadly, last = tell(sample, 1, dies=True), tell(sample, 2)
    with pytest.raises(Killed):
        hear(consumer, sample)
    assert tries() == {}
    for begun in range(1, MOST_TRIES + 1):
        let_tries_be_due()
        with pytest.raises(Killed):
            hear(consumer, sample, again=True)
        assert tries() == {deadly.id: begun}
    let_tries_be_due()
    assert hear(consumer, sample, again=True).ended == [deadly.id, last.id]
    assert letters() == [deadly.id]
    assert heard_of(sample) == [2]
    assert processed() == {deadly.id, last.id}


def test_a_consumer_hears_what_comes_after_its_beginning(consumer: Consumer, sample: UUID) -> None:
    before, after = tell(sample, 1), tell(sample, 2)
    Beginning.objects.create(consumer=consumer.number, after=before.id)
    assert hear(consumer, sample).ended == [after.id]
    assert heard_of(sample) == [2]


def test_a_subject_at_which_somebody_else_works_is_left_alone(consumer: Consumer, sample: UUID) -> None:
    tell(sample, 1)
    caught: list[Caught] = []

    def hear_into(again: bool) -> None:
        caught.append(hear(consumer, sample, again=again))

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCKS + consumer.number, str(sample)])
        for again in (False, True):
            at_once([partial(hear_into, again)])
    assert [one.busy for one in caught] == [True, True]
    assert (heard_of(sample), processed(), tries()) == ([], set(), {})


def test_many_at_once_keep_the_order_of_every_subject(consumer: Consumer) -> None:
    samples = [new_id() for _ in range(12)]
    calls = [(sample, tell(sample, number).id) for number in range(1, 9) for sample in samples]
    random.Random(7).shuffle(calls)  # noqa: S311  # a seeded order of calls

    def hear_some(mine: list[tuple[UUID, UUID]]) -> None:
        for sample, _ in mine:
            while hear(consumer, sample).busy:
                pass

    at_once([partial(hear_some, calls[k::4]) for k in range(4)])
    assert {sample: heard_of(sample) for sample in samples} == {sample: list(range(1, 9)) for sample in samples}
    assert len(processed()) == len(calls)
    assert tries() == {}
