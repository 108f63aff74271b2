"""The late-payment rule: money that nobody waits for is given back, with an event of its own."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import connection, transaction

from souk.orders.operations import accept_order, expire_due_orders, take_back_order
from souk.payments.gateway import Charged, Declined, charge, refund
from souk.payments.operations import (
    UNREACHABLE,
    capture_payment,
    decline_payment,
    due_refunds,
    lease_payment,
    postpone_payment,
    postpone_refund,
    settle_refund,
)
from souk.reactions.payments import give_back_due_refunds
from tests.books import events_of, let_deadline_pass, rows_of, run, stock_of
from tests.callers import SignedIn


def confirmed(seller: SignedIn, buyer: SignedIn, pays_with: str = "tok_ok") -> tuple[UUID, UUID]:
    """The ids of a confirmed order and of its payment."""
    placed = buyer.order((seller.offer("Mug", stock=5, price=700), 2)).body
    answer = buyer.post(f"/orders/{placed['id']}/confirm", {"payment": {"method": "card", "token": pays_with}})
    assert answer.status == 200
    ((payment_id,),) = rows_of(
        "SELECT id FROM payments_payment WHERE reference = %s AND state = 'REQUESTED'", placed["id"]
    )
    return UUID(placed["id"]), payment_id


def payment_row(payment_id: UUID) -> tuple[str, bool]:
    ((state, due),) = rows_of("SELECT state, refund_due_at IS NOT NULL FROM payments_payment WHERE id = %s", payment_id)
    return state, due


def book_of(payment_id: UUID) -> list[tuple[int, bool]]:
    return rows_of("SELECT amount, refunded FROM payments_providercharge WHERE key = %s", payment_id)


def test_money_for_an_order_that_has_been_given_up_is_refunded(seller: SignedIn, buyer: SignedIn) -> None:
    order_id, payment_id = confirmed(seller, buyer)
    let_deadline_pass(str(order_id))
    decline_payment(payment_id=payment_id, code=UNREACHABLE)
    take_back_order(order_id=order_id, payment_id=payment_id, code=UNREACHABLE)
    assert buyer.get(f"/orders/{order_id}").body["state"] == "NOT_CONFIRMED"
    # Only now does the provider's answer arrive: it had charged.
    charged = charge(key=payment_id, token="tok_ok", amount=1400, currency="EUR")
    assert isinstance(charged, Charged)
    capture_payment(payment_id=payment_id, charge_id=charged.charge_id)
    accept_order(order_id=order_id, payment_id=payment_id)
    assert payment_row(payment_id) == ("DECLINED", True)
    give_back_due_refunds()
    assert payment_row(payment_id) == ("REFUNDED", False)
    assert book_of(payment_id) == [(1400, True)]
    assert events_of(str(payment_id)) == ["payment.requested", "payment.declined", "payment.refunded"]
    shown = buyer.get(f"/orders/{order_id}").body
    assert (shown["state"], shown["reason"]) == ("NOT_CONFIRMED", "payment_declined")
    assert shown["payment"] == {"state": "REFUNDED", "attempts": 1, "decline_code": UNREACHABLE}
    assert due_refunds() == []


def test_a_captured_payment_of_an_order_that_does_not_wait_for_it_is_refunded(
    seller: SignedIn, buyer: SignedIn
) -> None:
    order_id, first = confirmed(seller, buyer)
    charge(key=first, token="tok_ok", amount=1400, currency="EUR")
    capture_payment(payment_id=first, charge_id="ch_1")
    # As after a repair by hand: the order was taken back although its payment went through.
    run("UPDATE orders_order SET state = 'NOT_CONFIRMED', reason = 'payment_declined' WHERE id = %s", order_id)
    run("UPDATE eventlog_transition SET target = 'NOT_CONFIRMED' WHERE subject_id = %s AND sequence = 2", order_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT settle_holds(ARRAY[%s], 'release')", [order_id])
    accept_order(order_id=order_id, payment_id=first)
    assert payment_row(first) == ("CAPTURED", True)
    give_back_due_refunds()
    assert payment_row(first) == ("REFUNDED", False)
    assert events_of(str(first)) == ["payment.requested", "payment.captured", "payment.refunded"]


def test_an_accepted_order_keeps_its_money_however_often_it_is_told(seller: SignedIn, buyer: SignedIn) -> None:
    order_id, payment_id = confirmed(seller, buyer)
    charge(key=payment_id, token="tok_ok", amount=1400, currency="EUR")
    for _ in range(2):
        capture_payment(payment_id=payment_id, charge_id="ch_1")
        accept_order(order_id=order_id, payment_id=payment_id)
    assert payment_row(payment_id) == ("CAPTURED", False)
    assert buyer.get(f"/orders/{order_id}").body["state"] == "ACCEPTED"
    assert events_of(str(order_id)) == ["order.placed", "order.confirmed", "order.accepted"]


def test_a_provider_out_of_reach_is_asked_again_and_then_counts_as_a_refusal(seller: SignedIn, buyer: SignedIn) -> None:
    order_id, payment_id = confirmed(seller, buyer, "tok_unreachable")
    assert lease_payment(payment_id=payment_id) is not None
    assert postpone_payment(payment_id=payment_id) is True
    assert lease_payment(payment_id=payment_id) is None  # not yet due
    run(
        "UPDATE payments_payment SET created = clock_timestamp() - interval '61 seconds',"
        " next_try_at = clock_timestamp() WHERE id = %s",
        payment_id,
    )
    leased = lease_payment(payment_id=payment_id)
    assert leased is not None
    assert leased.tries == 2
    assert postpone_payment(payment_id=payment_id) is False
    take_back_order(order_id=order_id, payment_id=payment_id, code=UNREACHABLE)
    shown = buyer.get(f"/orders/{order_id}").body
    assert (shown["state"], shown["payment"]["decline_code"]) == ("PENDING_CONFIRMATION", "provider_unreachable")
    # Whether it charged was unknown: it is told to give back whatever it took, and had taken nothing.
    assert due_refunds() == [payment_id]
    give_back_due_refunds()
    assert payment_row(payment_id) == ("DECLINED", False)
    assert events_of(str(payment_id)) == ["payment.requested", "payment.declined"]
    again = buyer.post(f"/orders/{order_id}/confirm", {"payment": {"method": "card", "token": "tok_ok"}})
    assert (again.status, again.body["payment"]["attempts"]) == (200, 2)


def test_a_key_that_was_refunded_is_never_charged_afterwards(clean_database: None) -> None:
    never, once = UUID(int=1), UUID(int=2)
    assert refund(key=never) is None
    assert charge(key=never, token="tok_ok", amount=5, currency="EUR") == Declined("refunded")
    charged = charge(key=once, token="tok_ok", amount=5, currency="EUR")
    assert isinstance(charged, Charged)
    assert [refund(key=once), refund(key=once)] == [charged.charge_id] * 2
    assert charge(key=once, token="tok_ok", amount=5, currency="EUR") == Declined("refunded")
    assert book_of(once) == [(5, True)]


def test_the_provider_is_never_asked_for_a_refund_inside_a_transaction(clean_database: None) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="inside a transaction"):
        refund(key=UUID(int=1))


def test_a_refund_that_got_no_answer_is_tried_later_and_settled_once(seller: SignedIn, buyer: SignedIn) -> None:
    _, payment_id = confirmed(seller, buyer)
    decline_payment(payment_id=payment_id, code=UNREACHABLE)
    postpone_refund(payment_id=payment_id)
    assert (due_refunds(), payment_row(payment_id)) == ([], ("DECLINED", True))
    for _ in range(2):
        settle_refund(payment_id=payment_id, charge_id="ch_9")
    assert events_of(str(payment_id)) == ["payment.requested", "payment.declined", "payment.refunded"]
    run("UPDATE orders_order SET expires_at = clock_timestamp()")
    assert expire_due_orders() == 0


def test_the_stock_of_a_refunded_order_is_back(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", stock=5)
    placed = buyer.order((mug, 2)).body
    buyer.post(f"/orders/{placed['id']}/confirm", {"payment": {"method": "card", "token": "tok_ok"}})
    ((payment_id,),) = rows_of("SELECT id FROM payments_payment")
    let_deadline_pass(placed["id"])
    decline_payment(payment_id=payment_id, code="card_declined")
    take_back_order(order_id=UUID(placed["id"]), payment_id=payment_id, code="card_declined")
    assert stock_of(mug) == (5, 0)
    assert due_refunds() == []
