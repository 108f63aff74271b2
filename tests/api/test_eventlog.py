"""The log: numbered per subject without holes, positioned as committed, and told to those whom it concerns."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.db import transaction

from souk.accounts.models import User
from souk.eventlog.operations import SYSTEM, number_events, record
from souk.kit.context import TRACEPARENT
from tests.books import events_of, rows_of, value_of
from tests.callers import SignedIn
from tests.paying import pay
from tests.rivals import at_once, in_background, rival, wait_for_waiting

INSERT = (
    "INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)"
    " VALUES (%s, 'thing', %s, 1, '{}', 'system', '{}')"
)


def positions() -> list[tuple[str, int | None]]:
    """Type and position of the events of things, by position."""
    rows = rows_of("SELECT type, position FROM eventlog_event WHERE subject_type = 'thing' ORDER BY position, n")
    return [(event_type, position) for event_type, position in rows]


def test_the_whole_life_of_an_order_is_told_in_order(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=1)
    order_id = buyer.order((mug, 1)).body["id"]
    pay(buyer, order_id, "tok_declined")
    pay(buyer, order_id)
    assert seller.patch(f"/products/{mug['id']}", {"stock": 1}).status == 200
    assert seller.delete(f"/products/{mug['id']}").status == 204
    assert events_of(order_id) == [
        "order.placed",
        "order.confirmed",
        "order.payment_declined",
        "order.confirmed",
        "order.accepted",
    ]
    assert events_of(mug["id"]) == [
        "product.created",
        "product.sold_out",
        "product.back_in_stock",
        "product.deleted",
    ]
    assert events_of(buyer.id) == ["user.registered"]
    assert rows_of("SELECT sequence FROM eventlog_event WHERE subject_id = %s ORDER BY n", order_id) == [
        (sequence,) for sequence in range(1, 6)
    ]


def test_positions_follow_the_order_of_writing_and_each_reader_finds_what_is_theirs(
    seller: SignedIn, buyer: SignedIn, stranger: SignedIn
) -> None:
    order_id = buyer.order((seller.offer(), 1)).body["id"]
    count = value_of("SELECT count(*) FROM eventlog_event")
    assert number_events(limit=2) == 2
    assert number_events() == count - 2
    assert number_events() == 0
    told = rows_of("SELECT type FROM eventlog_event ORDER BY position")
    assert told == rows_of("SELECT type FROM eventlog_event ORDER BY n")
    assert rows_of("SELECT min(position), max(position), count(*) FROM eventlog_event") == [(1, count, count)]
    assert value_of("SELECT last FROM eventlog_position") == count

    def feed(user: SignedIn) -> list[str]:
        rows = rows_of("SELECT type FROM eventlog_audience WHERE user_id = %s ORDER BY position", user.id)
        return [event_type for (event_type,) in rows]

    assert feed(seller) == ["user.registered", "product.created", "order.placed"]
    assert feed(buyer) == ["user.registered", "order.placed"]
    assert feed(stranger) == ["user.registered"]
    assert order_id in {str(row[0]) for row in rows_of("SELECT subject_id FROM eventlog_event")}


def test_an_event_that_commits_late_comes_after_those_that_were_numbered_before(clean_database: None) -> None:
    with rival() as early:
        early.execute(INSERT, ["early", uuid4()])
        with rival() as late:
            late.execute(INSERT, ["late", uuid4()])
            late.connection.commit()
        assert number_events() == 1
        assert positions() == [("late", 1), ("early", None)][:1]
        early.connection.commit()
    assert number_events() == 1
    assert positions() == [("late", 1), ("early", 2)]


def test_what_is_rolled_back_was_never_told(seller: SignedIn) -> None:
    user = User.objects.get(pk=seller.id)
    before = rows_of("SELECT last_sequence FROM accounts_user")

    def tell_and_fail() -> None:
        with transaction.atomic():
            assert record(user, "user.tried", actor=SYSTEM, data={"a": 1}, audience=[user.pk]) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tell_and_fail()
    assert events_of(seller.id) == ["user.registered"]
    assert rows_of("SELECT last_sequence FROM accounts_user") == before
    with transaction.atomic():
        assert record(user, "user.tried", actor=SYSTEM, data={"a": 1}, audience=[user.pk, user.pk]) == 2
    assert rows_of("SELECT data::text, actor, audience FROM eventlog_event WHERE type = 'user.tried'") == [
        ('{"a": 1}', "system", [UUID(seller.id)])
    ]


def test_of_two_that_number_one_gives_way_at_once(clean_database: None) -> None:
    with rival() as cursor:
        for name in ("a", "b", "c"):
            cursor.execute(INSERT, [name, uuid4()])
        cursor.connection.commit()
        cursor.execute("SELECT number_events(2)")
        assert cursor.fetchone() == (2,)
        assert number_events() == 0
        cursor.connection.commit()
    assert number_events() == 1
    assert positions() == [("a", 1), ("b", 2), ("c", 3)]


def test_numberers_and_writers_at_once_give_every_event_one_position(seller: SignedIn) -> None:
    def write() -> None:
        user = User.objects.get(pk=seller.id)
        for _ in range(10):
            with transaction.atomic():
                record(user, "user.wrote", actor=SYSTEM, data={}, audience=[user.pk])

    def number() -> None:
        for _ in range(20):
            number_events(limit=3)

    at_once([write, write, number, number])
    while number_events():
        pass
    found = rows_of("SELECT position FROM eventlog_event ORDER BY position")
    assert found == [(position,) for position in range(1, 22)]
    assert rows_of("SELECT sequence FROM eventlog_event ORDER BY position") == found
    assert rows_of("SELECT position FROM eventlog_audience ORDER BY position") == found


def test_two_who_tell_of_one_subject_do_so_one_after_the_other(seller: SignedIn) -> None:
    user = User.objects.get(pk=seller.id)

    def tell() -> int:
        return record(User.objects.get(pk=seller.id), "user.second", actor=SYSTEM, data={})

    with rival() as cursor:
        cursor.execute("UPDATE accounts_user SET last_sequence = last_sequence + 1 WHERE id = %s", [user.pk])
        with in_background(tell) as second:
            wait_for_waiting()
            cursor.execute(
                "INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)"
                " VALUES ('user.first', 'user', %s, 2, '{}', 'system', '{}')",
                [user.pk],
            )
            cursor.connection.commit()
            assert second.result() == 3
    assert events_of(seller.id) == ["user.registered", "user.first", "user.second"]


def test_events_carry_the_trace_of_the_request_and_a_broken_one_is_replaced(seller: SignedIn) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    good = {"title": "Mug", "price": {"amount": 1, "currency": "EUR"}, "stock": 1}
    for sent in (trace, "00-nonsense", "x" * 5000):
        assert seller.post("/products", good, headers={"traceparent": sent}).status == 201
    told = rows_of("SELECT traceparent, actor FROM eventlog_event WHERE type = 'product.created' ORDER BY n")
    assert told[0] == (trace, f"user:{seller.id}")
    made = [traceparent for traceparent, _ in told[1:]]
    assert all(TRACEPARENT.fullmatch(one) for one in made)
    assert len({one[3:35] for one in [trace, *made]}) == 3
