"""The deadline: nothing passes it, whoever holds a lock, and the stock of a due hold can be sold at once."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from souk.orders.operations import expire_due_orders
from tests.books import (
    checksums,
    events_of,
    holds_of,
    let_deadline_pass,
    movements_of,
    rows_of,
    run,
    stock_of,
    value_of,
)
from tests.callers import Answer, SignedIn
from tests.paying import confirm
from tests.rivals import at_once, in_background, rival, wait_for, wait_for_waiting


def cancel(buyer: SignedIn, order_id: str) -> Answer:
    """Cancel an order."""
    return buyer.post(f"/orders/{order_id}/cancel")


def test_a_due_order_is_closed_and_its_stock_given_back(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn
) -> None:
    mug, lamp = seller.offer(stock=2), other_seller.offer(stock=5)
    order, waiting = buyer.order((mug, 2), (lamp, 1)).body, buyer.order((lamp, 1)).body
    let_deadline_pass(order["id"])
    assert expire_due_orders() == 1
    shown = buyer.get(f"/orders/{order['id']}").body
    assert (shown["state"], shown["reason"], shown["allowed_actions"]) == ("NOT_CONFIRMED", "expired", [])
    assert shown["closed_at"] is not None
    assert (shown["confirmed_at"], shown["accepted_at"]) == (None, None)
    assert (stock_of(mug), stock_of(lamp)) == ((2, 0), (5, 1))
    assert movements_of(mug) == [("received", 2, 0), ("hold", 0, 2), ("release", 0, -2)]
    assert events_of(mug["id"]) == ["product.created", "product.sold_out", "product.back_in_stock"]
    assert events_of(order["id"]) == ["order.placed", "order.not_confirmed"]
    last = buyer.get(f"/orders/{order['id']}/history").body["results"][-1]
    assert (last["from"], last["to"], last["event"], last["actor"]) == (
        "PENDING_CONFIRMATION",
        "NOT_CONFIRMED",
        "expire",
        {"type": "system", "id": None},
    )
    assert buyer.get(f"/orders/{waiting['id']}").body == waiting
    before = checksums()
    assert expire_due_orders() == 0
    assert checksums() == before


def test_the_end_of_an_order_is_told_to_its_buyer_and_to_every_seller(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn
) -> None:
    order = buyer.order((seller.offer(), 1), (seller.offer(), 1), (other_seller.offer(), 1)).body
    let_deadline_pass(order["id"])
    assert expire_due_orders() == 1
    ((audience, state, reason),) = rows_of(
        "SELECT audience::text[], data->>'state', data->>'reason' FROM eventlog_event"
        " WHERE type = 'order.not_confirmed'"
    )
    assert sorted(audience) == sorted([buyer.id, seller.id, other_seller.id])
    assert (state, reason) == ("NOT_CONFIRMED", "expired")


def test_an_expired_order_says_expired_to_every_later_wish(seller: SignedIn, buyer: SignedIn) -> None:
    order = buyer.order((seller.offer(), 1)).body
    let_deadline_pass(order["id"])
    expire_due_orders()
    before = checksums()
    for answer in (confirm(buyer, order["id"]), cancel(buyer, order["id"])):
        assert (answer.status, answer.code) == (409, "order_expired")
    assert checksums() == before


def test_only_pending_orders_expire(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    confirmed, cancelled = buyer.order((mug, 1)).body["id"], buyer.order((mug, 1)).body["id"]
    confirm(buyer, confirmed)
    cancel(buyer, cancelled)
    run("UPDATE orders_order SET expires_at = clock_timestamp() - interval '1 day'")
    before = checksums()
    assert expire_due_orders() == 0
    assert checksums() == before


def test_at_most_so_many_orders_are_closed_at_once_the_longest_due_first(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    orders = [buyer.order((mug, 1)).body["id"] for _ in range(3)]
    for order_id in reversed(orders):
        let_deadline_pass(order_id)
    assert expire_due_orders(limit=2) == 2
    states = [buyer.get(f"/orders/{order_id}").body["state"] for order_id in orders]
    assert states == ["PENDING_CONFIRMATION", "NOT_CONFIRMED", "NOT_CONFIRMED"]
    assert (expire_due_orders(limit=2), expire_due_orders(limit=2)) == (1, 0)


def test_an_order_that_somebody_works_on_is_left_for_the_next_round(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    first, second = buyer.order((mug, 1)).body["id"], buyer.order((mug, 1)).body["id"]
    let_deadline_pass(first)
    let_deadline_pass(second)
    with rival() as cursor:
        cursor.execute("SELECT 1 FROM orders_order WHERE id = %s FOR NO KEY UPDATE", [first])
        assert expire_due_orders() == 1
        assert rows_of("SELECT id::text FROM orders_order WHERE state = 'NOT_CONFIRMED'") == [(second,)]
    assert expire_due_orders() == 1


def test_several_clocks_at_once_close_every_order_once(seller: SignedIn, buyer: SignedIn) -> None:
    mug, lamp = seller.offer(stock=20), seller.offer(stock=20)
    for _ in range(10):
        let_deadline_pass(buyer.order((mug, 1), (lamp, 1)).body["id"])
    closed = at_once([lambda: expire_due_orders(limit=4)] * 4)
    while more := expire_due_orders():
        closed.append(more)
    assert sum(closed) == 10
    assert (stock_of(mug), stock_of(lamp)) == ((20, 0), (20, 0))
    assert value_of("SELECT count(*) FROM eventlog_event WHERE type = 'order.not_confirmed'") == 10


def test_a_placement_takes_what_is_due_and_the_first_order_can_no_longer_be_confirmed(
    seller: SignedIn, buyer: SignedIn, stranger: SignedIn
) -> None:
    mug, lamp = seller.offer("Mug", stock=2), seller.offer("Lamp", stock=2)
    first = buyer.order((mug, 2), (lamp, 2)).body
    assert stranger.order((mug, 1)).code == "out_of_stock"
    let_deadline_pass(first["id"])
    second = stranger.order((mug, 2))
    assert second.status == 201
    assert holds_of(first["id"])[0][:2] == (lamp["id"], 2)
    assert (stock_of(mug), stock_of(lamp)) == ((2, 2), (2, 2))
    assert movements_of(mug) == [("received", 2, 0), ("hold", 0, 2), ("release", 0, -2), ("hold", 0, 2)]
    # It was sold out before and after: nobody needs to hear of it.
    assert events_of(mug["id"]) == ["product.created", "product.sold_out"]
    before = checksums()
    assert confirm(buyer, first["id"]).code == "order_expired"
    assert cancel(buyer, first["id"]).code == "order_expired"
    assert checksums() == before
    assert expire_due_orders() == 1
    assert (stock_of(mug), stock_of(lamp)) == ((2, 2), (2, 0))


def test_a_refused_placement_leaves_due_holds_as_they_were(
    seller: SignedIn, buyer: SignedIn, stranger: SignedIn
) -> None:
    mug = seller.offer(stock=2)
    let_deadline_pass(buyer.order((mug, 2)).body["id"])
    before = checksums()
    refused = stranger.order((mug, 3))
    assert [(error["requested"], error["available"]) for error in refused.body["errors"]] == [(3, 2)]
    assert checksums() == before


@pytest.mark.parametrize("verb", ["confirm", "cancel"])
def test_a_lock_held_past_the_deadline_and_rolled_back_lets_nothing_late_through(
    seller: SignedIn, buyer: SignedIn, settings: Settings, verb: str
) -> None:
    settings.ORDER_HOLD = timedelta(seconds=1)
    mug = seller.offer(stock=1)
    order_id = buyer.order((mug, 1)).body["id"]
    with rival() as cursor:
        cursor.execute("UPDATE orders_order SET updated = updated WHERE id = %s", [order_id])
        late = (lambda: confirm(buyer, order_id)) if verb == "confirm" else (lambda: cancel(buyer, order_id))
        with in_background(late) as answer:
            wait_for_waiting()
            assert value_of("SELECT expires_at > clock_timestamp() FROM orders_order") is True
            wait_for("SELECT expires_at <= clock_timestamp() FROM orders_order")
            cursor.connection.rollback()
            assert (answer.result().status, answer.result().code) == (409, "order_expired")
    assert rows_of("SELECT state FROM orders_order") == [("PENDING_CONFIRMATION",)]
    assert value_of("SELECT count(*) FROM payments_payment") == 0
    assert expire_due_orders() == 1
    assert stock_of(mug) == (1, 0)


def test_a_hold_that_is_locked_past_the_deadline_lets_no_late_confirmation_through(
    seller: SignedIn, buyer: SignedIn, settings: Settings
) -> None:
    settings.ORDER_HOLD = timedelta(seconds=1)
    mug, lamp = seller.offer(stock=1), seller.offer(stock=1)
    order_id = buyer.order((mug, 1), (lamp, 1)).body["id"]
    with rival() as cursor:
        cursor.execute("SELECT 1 FROM stock_hold WHERE product_id = %s FOR NO KEY UPDATE", [lamp["id"]])
        with in_background(lambda: confirm(buyer, order_id)) as answer:
            wait_for_waiting()
            wait_for("SELECT expires_at <= clock_timestamp() FROM orders_order")
            cursor.connection.rollback()
            assert (answer.result().status, answer.result().code) == (409, "order_expired")
    assert rows_of("SELECT state FROM orders_order") == [("PENDING_CONFIRMATION",)]
    assert value_of("SELECT count(*) FROM stock_hold WHERE until = 'infinity'") == 0
    assert value_of("SELECT count(*) FROM payments_payment") == 0


def test_holds_end_with_the_second_and_need_no_clock(
    seller: SignedIn, buyer: SignedIn, stranger: SignedIn, settings: Settings
) -> None:
    settings.ORDER_HOLD = timedelta(seconds=1)
    mug = seller.offer(stock=1)
    first = buyer.order((mug, 1)).body
    deadline = datetime.fromisoformat(first["expires_at"])
    while (second := stranger.order((mug, 1))).status == 409:
        assert second.code == "out_of_stock"
        time.sleep(0.02)
    assert second.status == 201
    released = value_of("SELECT at FROM stock_movement WHERE kind = 'release'")
    assert released >= deadline
    assert stock_of(mug) == (1, 1)


def test_of_confirmation_cancellation_and_expiry_at_once_exactly_one_wins(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=10)
    for _ in range(6):
        order_id = buyer.order((mug, 1)).body["id"]

        def confirmed(order_id: str = order_id) -> int:
            return confirm(buyer, order_id).status

        def cancelled(order_id: str = order_id) -> int:
            return cancel(buyer, order_id).status

        assert sorted(at_once([confirmed, cancelled, cancelled, confirmed])) == [200, 409, 409, 409]
    reserved = value_of("SELECT count(*) FROM orders_order WHERE state = 'CONFIRMED'")
    assert stock_of(mug) == (10, reserved)
