"""From the confirmation to the end: paid, declined in time, declined too late, unanswered, heard twice."""

from __future__ import annotations

from uuid import UUID

import pytest

from souk.orders.operations import accept_order, expire_due_orders, take_back_order
from souk.payments.operations import capture_payment, decline_payment, due_payments, lease_payment
from tests.books import checksums, events_of, holds_of, movements_of, rows_of, run, stock_of, value_of
from tests.callers import SignedIn
from tests.paying import (
    ask_provider,
    charges,
    confirm,
    hear_outcome,
    latest_payment_id,
    let_waiting_end,
    pay,
    state_of_payment,
)


def test_a_paid_order_is_accepted_and_its_stock_leaves_the_house(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn
) -> None:
    mug, lamp = seller.offer(stock=5, price=700), other_seller.offer(stock=1, price=100)
    order = buyer.order((mug, 2), (lamp, 1)).body
    pay(buyer, order["id"])
    shown = buyer.get(f"/orders/{order['id']}").body
    assert shown == {
        **order,
        "state": "ACCEPTED",
        "confirmed_at": shown["confirmed_at"],
        "accepted_at": shown["accepted_at"],
        "closed_at": shown["accepted_at"],
        "updated": shown["accepted_at"],
        "payment": {"state": "CAPTURED", "attempts": 1, "decline_code": None},
        "allowed_actions": [],
    }
    assert (stock_of(mug), stock_of(lamp)) == ((3, 0), (0, 0))
    assert holds_of(order["id"]) == []
    assert movements_of(mug) == [("received", 5, 0), ("hold", 0, 2), ("sale", -2, -2)]
    # Selling what was held already crosses no border.
    assert events_of(lamp["id"]) == ["product.created", "product.sold_out"]
    assert events_of(order["id"]) == ["order.placed", "order.confirmed", "order.accepted"]
    assert events_of(str(latest_payment_id(order["id"]))) == ["payment.requested", "payment.captured"]
    assert charges() == [(1500, "EUR", False)]
    ((audience,),) = rows_of("SELECT audience::text[] FROM eventlog_event WHERE type = 'order.accepted'")
    assert sorted(audience) == sorted([buyer.id, seller.id, other_seller.id])
    assert expire_due_orders() == 0


def test_that_an_order_is_paid_may_be_heard_twice_and_late(seller: SignedIn, buyer: SignedIn) -> None:
    order_id = buyer.order((seller.offer(stock=5), 2)).body["id"]
    pay(buyer, order_id)
    payment_id = latest_payment_id(order_id)
    before = checksums()
    accept_order(order_id=UUID(order_id), payment_id=payment_id)
    take_back_order(order_id=UUID(order_id), payment_id=payment_id, code="card_declined")
    capture_payment(payment_id=payment_id, charge_id="ch_other")
    assert lease_payment(payment_id=payment_id) is None
    assert checksums() == before


def test_declined_in_time_an_order_waits_again_with_its_old_deadline(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=5)
    order = buyer.order((mug, 2)).body
    assert confirm(buyer, order["id"], "tok_declined").status == 200
    assert ask_provider(order["id"]) == "DECLINED"
    hear_outcome(order["id"])
    shown = buyer.get(f"/orders/{order['id']}").body
    assert shown == {
        **order,
        "updated": shown["updated"],
        "payment": {"state": "DECLINED", "attempts": 1, "decline_code": "card_declined"},
    }
    assert holds_of(order["id"]) == [(mug["id"], 2, order["expires_at"])]
    assert events_of(order["id"]) == ["order.placed", "order.confirmed", "order.payment_declined"]
    before = checksums()
    hear_outcome(order["id"])
    assert checksums() == before
    pay(buyer, order["id"])
    shown = buyer.get(f"/orders/{order['id']}").body
    assert (shown["state"], shown["payment"]) == (
        "ACCEPTED",
        {"state": "CAPTURED", "attempts": 2, "decline_code": None},
    )
    assert stock_of(mug) == (3, 0)
    assert charges() == [(3998, "EUR", False)]


def test_an_old_decline_does_not_touch_an_order_that_waits_for_a_new_payment(seller: SignedIn, buyer: SignedIn) -> None:
    order_id = buyer.order((seller.offer(), 1)).body["id"]
    pay(buyer, order_id, "tok_declined")
    declined = latest_payment_id(order_id)
    assert confirm(buyer, order_id).status == 200
    before = checksums()
    take_back_order(order_id=UUID(order_id), payment_id=declined, code="card_declined")
    accept_order(order_id=UUID(order_id), payment_id=declined)
    assert checksums() == before


def test_declined_past_the_deadline_an_order_is_over_and_its_stock_is_back(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=2)
    order_id = buyer.order((mug, 2)).body["id"]
    assert confirm(buyer, order_id, "tok_declined").status == 200
    run("UPDATE orders_order SET expires_at = clock_timestamp() - interval '1 second'")
    assert expire_due_orders() == 0
    ask_provider(order_id)
    hear_outcome(order_id)
    shown = buyer.get(f"/orders/{order_id}").body
    assert (shown["state"], shown["reason"], shown["allowed_actions"]) == ("NOT_CONFIRMED", "payment_declined", [])
    assert shown["closed_at"] is not None
    assert shown["payment"] == {"state": "DECLINED", "attempts": 1, "decline_code": "card_declined"}
    assert stock_of(mug) == (2, 0)
    assert events_of(order_id) == ["order.placed", "order.confirmed", "order.not_confirmed"]
    assert rows_of("SELECT data FROM eventlog_event WHERE type = 'order.not_confirmed'") == [
        ('{"state": "NOT_CONFIRMED", "reason": "payment_declined", "decline_code": "card_declined"}',)
    ]
    assert events_of(mug["id"]) == ["product.created", "product.sold_out", "product.back_in_stock"]


def test_a_confirmed_order_is_accepted_though_its_deadline_passed_meanwhile(
    seller: SignedIn, buyer: SignedIn, stranger: SignedIn
) -> None:
    mug = seller.offer(stock=1)
    order_id = buyer.order((mug, 1)).body["id"]
    assert confirm(buyer, order_id).status == 200
    run("UPDATE orders_order SET expires_at = clock_timestamp() - interval '1 day'")
    assert stranger.order((mug, 1)).code == "out_of_stock"
    ask_provider(order_id)
    hear_outcome(order_id)
    assert buyer.get(f"/orders/{order_id}").body["state"] == "ACCEPTED"
    assert stock_of(mug) == (0, 0)


def test_an_answer_that_got_lost_charges_once(seller: SignedIn, buyer: SignedIn) -> None:
    order_id = buyer.order((seller.offer(price=700), 1)).body["id"]
    assert confirm(buyer, order_id, "tok_flaky").status == 200
    assert ask_provider(order_id) == "REQUESTED"
    assert charges() == [(700, "EUR", False)]
    assert lease_payment(payment_id=latest_payment_id(order_id)) is None
    assert due_payments() == []
    let_waiting_end(order_id)
    assert due_payments() == [latest_payment_id(order_id)]
    assert ask_provider(order_id) == "CAPTURED"
    hear_outcome(order_id)
    assert buyer.get(f"/orders/{order_id}").body["state"] == "ACCEPTED"
    assert charges() == [(700, "EUR", False)]


def test_a_provider_that_never_answers_declines_in_the_end(seller: SignedIn, buyer: SignedIn) -> None:
    order_id = buyer.order((seller.offer(), 1)).body["id"]
    assert confirm(buyer, order_id, "tok_unreachable").status == 200
    pauses = []
    for _ in range(3):
        assert ask_provider(order_id) == "REQUESTED"
        pauses.append(value_of("SELECT round(extract(epoch FROM next_try_at - updated)) FROM payments_payment"))
        let_waiting_end(order_id)
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1]
    run("UPDATE payments_payment SET created = created - interval '61 seconds'")
    assert ask_provider(order_id) == "DECLINED"
    hear_outcome(order_id)
    shown = buyer.get(f"/orders/{order_id}").body
    assert (shown["state"], shown["payment"]) == (
        "PENDING_CONFIRMATION",
        {"state": "DECLINED", "attempts": 1, "decline_code": "provider_unreachable"},
    )
    assert charges() == []


def test_one_alone_asks_the_provider_until_the_lease_lapses(seller: SignedIn, buyer: SignedIn) -> None:
    order_id = buyer.order((seller.offer(), 1)).body["id"]
    confirm(buyer, order_id)
    payment_id = latest_payment_id(order_id)
    first = lease_payment(payment_id=payment_id)
    assert first is not None
    assert first.tries == 1
    assert lease_payment(payment_id=payment_id) is None
    assert due_payments() == []
    let_waiting_end(order_id)
    assert due_payments() == [payment_id]
    again = lease_payment(payment_id=payment_id)
    assert again is not None
    assert again.tries == 2


@pytest.mark.parametrize("change", ["archive", "delete", "sold_below"])
def test_what_happens_to_a_product_does_not_touch_what_is_held_of_it(
    seller: SignedIn, buyer: SignedIn, stranger: SignedIn, change: str
) -> None:
    mug = seller.offer(stock=3)
    paid, cancelled = buyer.order((mug, 1)).body["id"], buyer.order((mug, 1)).body["id"]
    if change == "archive":
        assert seller.post(f"/products/{mug['id']}/archive").status == 200
    elif change == "delete":
        assert seller.delete(f"/products/{mug['id']}").status == 204
    else:
        assert seller.patch(f"/products/{mug['id']}", {"stock": 2}).status == 200
    refused = stranger.order((mug, 1)).code
    assert refused == ("out_of_stock" if change == "sold_below" else "product_not_for_sale")
    pay(buyer, paid)
    assert buyer.get(f"/orders/{paid}").body["state"] == "ACCEPTED"
    assert buyer.post(f"/orders/{cancelled}/cancel").status == 200
    assert stock_of(mug) == ((1, 0) if change == "sold_below" else (2, 0))


def test_a_payment_that_was_declined_stays_declined(seller: SignedIn, buyer: SignedIn) -> None:
    order_id = buyer.order((seller.offer(), 1)).body["id"]
    pay(buyer, order_id, "tok_declined")
    payment_id = latest_payment_id(order_id)
    before = checksums()
    decline_payment(payment_id=payment_id, code="other")
    assert checksums() == before
    assert state_of_payment(payment_id) == "DECLINED"
