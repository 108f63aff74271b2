"""The feed: whose events, in which order, from which cursor; and what happens to it while others write."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection

from souk.eventlog.feed import FAR_BEHIND, cursor_of
from souk.eventlog.operations import number_events
from souk.kit.context import TRACEPARENT
from souk.orders.operations import accept_order
from souk.payments.gateway import Charged, charge
from souk.payments.models import Payment
from souk.payments.operations import capture_payment, lease_payment
from tests.callers import Answer, Api, SignedIn

APPEND = """
INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)
VALUES ('trial.made', 'trial', %s, %s, '{"of": "the feed"}', 'system', %s::uuid[])
"""


@contextmanager
def another_connection() -> Iterator[psycopg.Connection[Any]]:
    """A connection to the test database that Django does not know."""
    at = connection.settings_dict
    with psycopg.connect(
        host=at["HOST"], port=at["PORT"], dbname=at["NAME"], user=at["USER"], password=at["PASSWORD"]
    ) as other:
        yield other


@pytest.fixture
def invented(clean_database: None) -> Iterator[None]:
    """Lets a test write events of subjects that have no row; they are gone before the books are looked at."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM eventlog_event WHERE subject_type = 'trial'")


def types_of(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [event["type"] for event in answer.body["results"]]


def read_to_the_end(caller: Api, after: str | None = None, *, limit: int = 7) -> tuple[list[dict[str, Any]], str]:
    """Every event behind the cursor, page by page, and the cursor at which nothing follows."""
    events: list[dict[str, Any]] = []
    while True:
        query = {"limit": limit} if after is None else {"limit": limit, "after": after}
        page = caller.get("/events", **query)
        assert page.status == 200, page.body
        if not page.body["results"] and page.body["next"] == after:
            return events, str(after)
        events += page.body["results"]
        after = page.body["next"]


def append(subject: UUID, sequence: int, *readers: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(APPEND, [subject, sequence, list(readers)])


def test_the_feed_begins_with_the_oldest_event_and_repeats_its_cursor_at_the_end(seller: SignedIn) -> None:
    bowl = seller.offer()
    first = seller.get("/events", limit=1)
    assert types_of(first) == ["user.registered"]
    second = seller.get("/events", after=first.body["next"])
    (event,) = second.body["results"]
    UUID(event.pop("id"))
    assert event.pop("created").endswith("Z")
    assert event == {
        "type": "product.created",
        "subject": {"type": "product", "id": bowl["id"]},
        "sequence": 1,
        "actor": {"type": "user", "id": seller.id},
        "data": event["data"],
        "traceparent": event["traceparent"],
    }
    # Without a caller's trace it is one of Souk's own, which nobody records.
    assert TRACEPARENT.fullmatch(event["traceparent"])
    assert event["traceparent"].endswith("-00")
    assert event["data"]["title"] == "Walnut bowl"
    end = seller.get("/events", after=second.body["next"])
    assert (end.body["results"], end.body["next"]) == ([], second.body["next"])
    assert end.headers["Link"] == f'</api/v1/events?after={second.body["next"]}>; rel="next"'


def test_an_order_is_told_whole_to_its_buyer_and_to_each_seller_by_their_lines_alone(
    buyer: SignedIn, seller: SignedIn, other_seller: SignedIn, stranger: SignedIn
) -> None:
    bowl, lamp = seller.offer(price=1000), other_seller.offer("Brass lamp", price=300)
    order = buyer.order((bowl, 2), (lamp, 3)).body
    seen = {
        who.username: who.get("/events", types="order.placed").body["results"] for who in (buyer, seller, other_seller)
    }
    assert {event["subject"]["id"] for events in seen.values() for event in events} == {order["id"]}
    data = {name: events[0]["data"] for name, events in seen.items()}
    assert data["buyer"] == {"state": "PENDING_CONFIRMATION", "total": order["total"], "lines": order["lines"]}
    assert data["seller"] == {
        "state": "PENDING_CONFIRMATION",
        "total": {"amount": 2000, "currency": "EUR"},
        "lines": order["lines"][:1],
    }
    assert data["other-seller"]["lines"] == order["lines"][1:]
    assert data["other-seller"]["total"] == {"amount": 900, "currency": "EUR"}
    assert stranger.get("/events", types="order.placed").body["results"] == []


def test_a_seller_hears_nothing_of_the_payment(buyer: SignedIn, seller: SignedIn) -> None:
    order = buyer.order((seller.offer(), 1)).body
    body = {"payment": {"method": "card", "token": "tok_ok"}}
    assert buyer.post(f"/orders/{order['id']}/confirm", body).status == 200
    payment = Payment.objects.get(reference=order["id"])
    lease_payment(payment_id=payment.pk)
    charged = charge(key=payment.pk, token=payment.token, amount=payment.amount, currency=payment.currency)
    assert isinstance(charged, Charged)
    capture_payment(payment_id=payment.pk, charge_id=charged.charge_id)
    accept_order(order_id=UUID(order["id"]), payment_id=payment.pk)
    heard = types_of(buyer.get("/events"))[1:]
    assert [one for one in heard if one.startswith("order.")] == ["order.placed", "order.confirmed", "order.accepted"]
    assert [one for one in heard if one.startswith("payment.")] == ["payment.requested", "payment.captured"]
    assert types_of(seller.get("/events"))[1:] == [
        "product.created", "order.placed", "order.confirmed", "order.accepted",
    ]  # fmt: skip


def test_types_narrow_the_feed_and_unknown_ones_are_refused(seller: SignedIn) -> None:
    seller.offer()
    assert types_of(seller.get("/events", types="product.created,product.deleted")) == ["product.created"]
    for bad in ("product.eaten", "", "product.created,", "order.*"):
        refused = seller.get("/events", types=bad)
        assert (refused.status, refused.code, refused.pointers) == (400, "malformed_request", ["types"])


def test_the_feed_is_for_the_signed_in_alone(anonymous: Api) -> None:
    assert anonymous.get("/events").code == "not_authenticated"
    assert anonymous.post("/events").code == "method_not_allowed"


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "é", "W10", cursor_of(-1), cursor_of(10**17), cursor_of(10**30), "WyJvcmRlcnMiLCIxIl0", "A" * 900],
)
def test_a_forged_cursor_is_refused(seller: SignedIn, cursor: str) -> None:
    refused = seller.get("/events", after=cursor)
    assert (refused.status, refused.code, refused.pointers) == (400, "malformed_request", ["after"])


def test_a_cursor_older_than_the_oldest_event_is_told_where_to_begin_anew(seller: SignedIn) -> None:
    seller.offer()
    everything, end = read_to_the_end(seller)
    behind_first = seller.get("/events", limit=1).body["next"]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM eventlog_event WHERE position = 1")
    assert seller.get("/events", after=behind_first).body["results"] == everything[1:]
    refused = seller.get("/events", after=cursor_of(0))
    assert (refused.status, refused.code) == (410, "events_expired")
    (error,) = refused.body["errors"]
    assert seller.get("/events", after=error["oldest"]).body["results"] == everything[1:]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM eventlog_event")
    assert seller.get("/events", after=end).body == {"results": [], "next": end}
    assert seller.get("/events").body == {"results": [], "next": end}
    assert seller.get("/events", after=behind_first).code == "events_expired"


def test_a_cursor_far_behind_moves_on_though_nothing_was_for_its_reader(
    invented: None, seller: SignedIn, stranger: SignedIn
) -> None:
    _, end = read_to_the_end(stranger)
    subject = uuid4()
    for sequence in range(1, FAR_BEHIND - 1):
        append(subject, sequence, seller.id)
    while number_events():
        pass
    assert stranger.get("/events", after=end).body == {"results": [], "next": end}
    for sequence in range(FAR_BEHIND - 1, FAR_BEHIND + 5):
        append(subject, sequence, seller.id)
    while number_events():
        pass
    moved = stranger.get("/events", after=end).body
    assert moved["results"] == []
    assert moved["next"] != end
    assert stranger.get("/events", after=moved["next"]).body == moved


def test_an_event_committed_late_is_missed_by_ids_and_transaction_numbers_but_not_by_the_feed(
    invented: None, seller: SignedIn
) -> None:
    _, end = read_to_the_end(seller)
    early, late = uuid4(), uuid4()
    with another_connection() as slow, another_connection() as quick:
        slow.execute("SELECT pg_current_xact_id()")
        slow.execute(APPEND, [late, 1, [seller.id]])
        quick.execute(APPEND, [early, 1, [seller.id]])
        quick.commit()
        keys = "SELECT id, n, xmin::text::bigint FROM eventlog_event WHERE subject_id = %s"
        passed = quick.execute(keys, [early]).fetchone()
        (first,) = seller.get("/events", after=end).body["results"]
        slow.commit()
        arrived = slow.execute(keys, [late]).fetchone()
    assert first["subject"]["id"] == str(early)
    assert passed is not None
    assert arrived is not None
    # A reader who went on behind what it had seen by any of the three would never have looked back.
    assert [seen > new for seen, new in zip(passed, arrived, strict=True)] == [True, True, True]
    heard, _ = read_to_the_end(seller, end)
    assert [event["subject"]["id"] for event in heard] == [str(early), str(late)]


class Writers:
    """Threads that append events of a few subjects in transactions quick and slow, and take some of them back."""

    def __init__(self, reader: str, *, threads: int = 6, each: int = 40) -> None:
        self._reader, self._each = reader, each
        self.committed: dict[str, list[int]] = {}
        self._threads = [threading.Thread(target=self._write, args=[number]) for number in range(threads)]
        self._lock = threading.Lock()

    def _write(self, number: int) -> None:
        chance = random.Random(number)  # noqa: S311  # a trial that can be repeated
        subject, sequence = uuid4(), 0
        with another_connection() as own:
            for _ in range(self._each):
                count = chance.randint(1, 3)
                for step in range(1, count + 1):
                    own.execute(APPEND, [subject, sequence + step, [self._reader]])
                time.sleep(chance.choice((0, 0, 0.002, 0.02)))
                if chance.random() < 0.25:
                    own.rollback()
                    continue
                own.commit()
                sequence += count
        with self._lock:
            self.committed[str(subject)] = list(range(1, sequence + 1))

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def are_at_work(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)


def test_nothing_is_skipped_or_told_twice_while_many_write_slowly_and_take_back(
    invented: None, seller: SignedIn
) -> None:
    _, after = read_to_the_end(seller)
    heard: list[dict[str, Any]] = []
    pages = 0
    with Writers(seller.id) as writers:
        while writers.are_at_work():
            page = seller.get("/events", after=after, limit=5)
            heard += page.body["results"]
            after, pages = page.body["next"], pages + 1
    rest, _ = read_to_the_end(seller, after)
    heard += rest
    assert len({event["id"] for event in heard}) == len(heard)
    told: dict[str, list[int]] = {}
    for event in heard:
        told.setdefault(event["subject"]["id"], []).append(event["sequence"])
    assert told == writers.committed
    assert pages > 10
