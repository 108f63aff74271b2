"""The worker on a real stream server: nothing that stands in a stream, or is missing there, stops it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import redis
from django.db import connection

from souk.eventlog.models import Event
from souk.kit.entity import new_id
from souk.reactions import worker
from souk.reactions.consumers import CONSUMERS
from souk.reactions.hearing import catch_up
from souk.reactions.models import DeadLetter, Processed
from souk.reactions.reaction import Consumer
from souk.reactions.stream import CLAIM_AFTER_MILLISECONDS, Group
from souk.reactions.worker import run_worker
from tests.callers import SignedIn
from tests.hearers import forget_samples, heard_of, letters, processed, sample_consumer, tell, tries
from tests.streams import put_into_streams, running_valkey, wait_until

STREAM = "souk.events.sample"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as client:
        yield client


@pytest.fixture
def streams(server: redis.Redis) -> redis.Redis:
    server.flushall()
    return server


@pytest.fixture(autouse=True)
def samples(clean_database: None) -> Iterator[None]:
    yield
    forget_samples()


@contextmanager
def working(client: redis.Redis, *consumers: Consumer) -> Iterator[None]:
    """A worker with these consumers beside the block."""
    stop = threading.Event()
    thread = threading.Thread(target=run_worker, args=[consumers], kwargs={"client": client, "stop": stop})
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def pending(client: redis.Redis, group: str = "samples") -> int:
    return int(client.xpending(STREAM, group)["pending"])


def all_is_read(client: redis.Redis) -> bool:
    last = client.xinfo_stream(STREAM)["last-generated-id"]
    return [group["last-delivered-id"] for group in client.xinfo_groups(STREAM)] == [last]


def test_payments_and_orders_follow_from_the_streams_alone(
    seller: SignedIn, buyer: SignedIn, streams: redis.Redis
) -> None:
    product = seller.offer(stock=10)
    tokens = {"tok_ok": "ACCEPTED", "tok_slow": "ACCEPTED", "tok_declined": "PENDING_CONFIRMATION"}
    orders = {}
    for token in tokens:
        orders[token] = buyer.order((product, 1)).body["id"]
        buyer.post(f"/orders/{orders[token]}/confirm", {"payment": {"method": "card", "token": token}})
    captured: set[object] = set()

    def capture_and_look() -> bool:
        new = [event for event in Event.objects.order_by("n") if event.id not in captured]
        put_into_streams(streams, new)
        captured.update(event.id for event in new)
        states = {token: buyer.get(f"/orders/{order_id}").body["state"] for token, order_id in orders.items()}
        return states == tokens and not Event.objects.filter(position=None).exists()

    with working(streams, *CONSUMERS):
        wait_until(capture_and_look)
    assert DeadLetter.objects.count() == 0
    assert Processed.objects.count() == 6


def test_events_are_heard_in_order_by_two_workers_whatever_order_the_stream_has(streams: redis.Redis) -> None:
    samples = [new_id() for _ in range(10)]
    told = [tell(sample, number) for number in range(1, 6) for sample in samples]
    put_into_streams(streams, [*reversed(told), *told])
    first, second = sample_consumer(), sample_consumer()
    with working(streams, first), working(streams, second):
        wait_until(lambda: len(processed()) == 50 and pending(streams) == 0)
    assert {sample: heard_of(sample) for sample in samples} == {sample: [1, 2, 3, 4, 5] for sample in samples}
    assert (tries(), letters()) == ({}, [])


POISON: dict[str, dict[Any, Any]] = {
    "no value": {b"key": b"{}", b"other": b"\xff\x00"},
    "no json": {b"value": b"{"},
    "no text": {b"value": b'"\xff\xfe"'},
    "no event": {b"value": b'{"id": "7", "type": "sample.told"}'},
    "nothing at all": {b"value": b""},
    "deep": {b"value": b"[" * 100_000},
    "a number": {b"value": b"17"},
    "a name that is none": {b"\xff\x00\xfe": b"\x00" * 5000},
}


@pytest.mark.parametrize("fields", POISON.values(), ids=POISON.keys())
def test_an_entry_that_is_no_event_becomes_a_dead_letter_and_the_stream_goes_on(
    streams: redis.Redis, fields: dict[Any, Any]
) -> None:
    sample = new_id()
    streams.xadd(STREAM, fields)
    entry_id = streams.xinfo_stream(STREAM)["last-generated-id"].decode()
    put_into_streams(streams, [tell(sample, 1)])
    with working(streams, sample_consumer()):
        wait_until(lambda: heard_of(sample) == [1] and pending(streams) == 0)
    letter = DeadLetter.objects.get()
    assert (letter.consumer, letter.event["stream"], letter.event["entry_id"]) == ("samples", STREAM, entry_id)
    assert len(letter.event["fields"]) == len(fields)
    assert Processed.objects.count() == 1


def entry_before_its_event(streams: redis.Redis, sample: UUID) -> Event:
    """An event that cannot be seen yet although its entry has come: saving it shows it."""
    event = tell(sample, 1)
    put_into_streams(streams, [event])
    Event.objects.filter(id=event.id).delete()
    return event


def test_an_event_that_can_be_seen_right_after_its_subject_was_heard_is_not_taken_for_heard(
    streams: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = new_id()
    event = entry_before_its_event(streams, sample)

    def heard_a_moment_too_early(*given: Any, **more: Any) -> Any:
        caught = catch_up(*given, **more)
        if not Event.objects.filter(id=event.id).exists():
            event.save(force_insert=True)
        return caught

    monkeypatch.setattr(worker, "catch_up", heard_a_moment_too_early)
    with working(streams, sample_consumer()):
        wait_until(lambda: all_is_read(streams) and pending(streams) == 0)
    assert (heard_of(sample), letters()) == ([1], [])


def test_an_event_that_can_be_seen_a_second_after_its_entry_is_heard_and_no_dead_letter(streams: redis.Redis) -> None:
    sample, other = new_id(), new_id()
    event = entry_before_its_event(streams, sample)
    with working(streams, sample_consumer()):
        wait_until(lambda: all_is_read(streams))
        time.sleep(1)
        assert (heard_of(sample), letters(), pending(streams)) == ([], [], 1)
        put_into_streams(streams, [tell(other, 1)])
        wait_until(lambda: heard_of(other) == [1])
        event.save(force_insert=True)
        wait_until(lambda: heard_of(sample) == [1] and pending(streams) == 0)
    assert (letters(), tries()) == ([], {})


def test_an_entry_that_the_log_knows_nothing_of_has_no_effect(
    streams: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "UNSEEN_SECONDS", 0.5)
    sample = new_id()
    for forged in (str(new_id()), str(uuid4()), "ffffffff-ffff-7fff-bfff-ffffffffffff"):
        value = {"id": forged, "type": "sample.told", "subject_id": str(sample), "subject_type": "a\0b"}
        streams.xadd(STREAM, {"value": msgspec.json.encode(value)})
    with working(streams, sample_consumer()):
        wait_until(lambda: len(letters()) == 3 and pending(streams) == 0)
    assert set(DeadLetter.objects.values_list("error", flat=True)) == {"The log has no such event."}
    assert (heard_of(sample), processed()) == ([], set())


def test_events_of_other_types_are_passed_over(streams: redis.Redis) -> None:
    sample = new_id()
    strange, told = tell(sample, 1), tell(sample, 2)
    Event.objects.filter(id=strange.id).update(type="sample.unheard_of")
    put_into_streams(streams, [Event.objects.get(id=strange.id), told])
    with working(streams, sample_consumer()):
        wait_until(lambda: heard_of(sample) == [2] and pending(streams) == 0)
    assert processed() == {told.id}
    assert letters() == []


def test_what_a_dead_reader_left_lying_is_claimed_and_heard_once(streams: redis.Redis) -> None:
    sample = new_id()
    told = [tell(sample, number) for number in (1, 2, 3)]
    put_into_streams(streams, told)
    consumer = sample_consumer()
    dead = Group(streams, consumer, "dead-1-0")
    dead.make()
    given = dead.read_new(wait_milliseconds=10)
    assert len(given) == 3
    # As if the time had passed since.
    streams.xclaim(STREAM, "samples", "dead-1-0", 0, [entry.id for entry in given], idle=CLAIM_AFTER_MILLISECONDS + 1)
    with working(streams, consumer):
        wait_until(lambda: heard_of(sample) == [1, 2, 3] and pending(streams) == 0)
    assert (processed(), tries()) == ({event.id for event in told}, {})


def test_what_was_handled_and_not_acknowledged_has_no_second_effect(streams: redis.Redis) -> None:
    sample = new_id()
    put_into_streams(streams, [tell(sample, 1)])
    consumer = sample_consumer()
    with working(streams, consumer):
        wait_until(lambda: heard_of(sample) == [1])
    put_into_streams(streams, Event.objects.filter(subject_id=sample))
    streams.xgroup_setid(STREAM, "samples", "0")
    with working(streams, consumer):
        wait_until(lambda: all_is_read(streams) and pending(streams) == 0)
    assert heard_of(sample) == [1]


def test_streams_that_vanish_are_made_again(streams: redis.Redis) -> None:
    sample = new_id()
    with working(streams, sample_consumer()):
        wait_until(lambda: bool(streams.exists(STREAM)))
        streams.flushall()
        put_into_streams(streams, [tell(sample, 1)])
        wait_until(lambda: heard_of(sample) == [1])


def test_trimmed_entries_that_were_pending_are_let_go(streams: redis.Redis) -> None:
    sample = new_id()
    put_into_streams(streams, [tell(sample, 1), tell(sample, 2)])
    consumer = sample_consumer()
    reader = Group(streams, consumer, "same-1-0")
    reader.make()
    assert len(reader.read_new(wait_milliseconds=10)) == 2
    streams.xtrim(STREAM, maxlen=0, approximate=False)
    gone = list(reader.own_pending())
    assert [entry.fields for entry in gone] == [{}, {}]
    streams.xclaim(STREAM, "samples", "same-1-0", 0, [entry.id for entry in gone], idle=CLAIM_AFTER_MILLISECONDS + 1)
    with working(streams, consumer):
        wait_until(lambda: pending(streams) == 0)
    assert letters() == []


def test_a_worker_outlives_the_loss_of_all_its_connections(streams: redis.Redis) -> None:
    sample = new_id()
    with working(streams, sample_consumer()):
        put_into_streams(streams, [tell(sample, 1)])
        wait_until(lambda: heard_of(sample) == [1])
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                " AND datname = current_database() AND pid <> pg_backend_pid()"
            )
        streams.client_kill_filter(_type="normal", skipme=True)
        put_into_streams(streams, [tell(sample, 2)])
        wait_until(lambda: heard_of(sample) == [1, 2])
    assert letters() == []


def test_a_worker_that_ends_leaves_no_reader_behind(streams: redis.Redis) -> None:
    with working(streams, sample_consumer()):
        wait_until(lambda: bool(streams.exists(STREAM)) and len(streams.xinfo_consumers(STREAM, "samples")) == 1)
    assert streams.xinfo_consumers(STREAM, "samples") == []
