"""A requested payment is asked for once in effect, and its outcome reaches the order, whatever dies in between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from souk.eventlog.models import Event
from souk.eventlog.operations import database_now
from souk.payments.gateway import Declined, charge
from souk.payments.models import Payment, ProviderCharge
from souk.payments.operations import decline_payment, lease_payment
from souk.reactions.consumers import CONSUMERS
from souk.reactions.hearing import Caught, Subject, catch_up
from souk.reactions.models import DeadLetter, Processed, Retry
from souk.reactions.orders import ORDERS
from souk.reactions.payments import (
    PAYMENTS,
    ask_for_due_payments,
    ask_provider,
    give_back_due_refunds,
    settle_payment,
)
from tests.books import events_of, holds_of, stock_of
from tests.callers import SignedIn
from tests.hearers import at_once


@dataclass
class Confirmed:
    """A confirmed order, its product, and the payment that it waits for."""

    buyer: SignedIn
    product: dict[str, Any]
    order_id: str
    payment_id: UUID

    @property
    def order(self) -> dict[str, Any]:
        return dict(self.buyer.get(f"/orders/{self.order_id}").body)

    @property
    def payment(self) -> Payment:
        found: Payment = Payment.objects.get(pk=self.payment_id)
        return found

    def hear(self, *, again: bool = False) -> list[Caught]:
        """Let both consumers hear of the payment."""
        return [catch_up(consumer, Subject("payment", self.payment_id), again=again) for consumer in CONSUMERS]

    def set_back(self, **times: timedelta) -> None:
        """Move these moments of the payment's row into the past."""
        now = database_now()
        Payment.objects.filter(pk=self.payment_id).update(**{name: now - ago for name, ago in times.items()})


def confirm(seller: SignedIn, buyer: SignedIn, token: str) -> Confirmed:
    product = seller.offer(stock=10)
    order = buyer.order((product, 3)).body
    answer = buyer.post(f"/orders/{order['id']}/confirm", {"payment": {"method": "card", "token": token}})
    assert answer.status == 200, answer.body
    return Confirmed(buyer, product, order["id"], Payment.objects.get(reference=order["id"]).pk)


def all_is_heard() -> bool:
    heard = [event_type for consumer in CONSUMERS for event_type in consumer.types()]
    return set(Event.objects.filter(type__in=heard).values_list("id", flat=True)) == set(
        Processed.objects.values_list("event_id", flat=True)
    )


def test_a_paid_order_is_accepted_and_its_stock_sold(seller: SignedIn, buyer: SignedIn) -> None:
    paid = confirm(seller, buyer, "tok_ok")
    paid.hear()
    assert paid.order["state"] == "ACCEPTED"
    assert stock_of(paid.product) == (7, 0)
    assert events_of(paid.order_id) == ["order.placed", "order.confirmed", "order.accepted"]
    assert events_of(str(paid.payment_id)) == ["payment.requested", "payment.captured"]
    assert ProviderCharge.objects.get().key == paid.payment_id
    assert all_is_heard()


def test_hearing_it_all_again_changes_nothing(seller: SignedIn, buyer: SignedIn) -> None:
    paid = confirm(seller, buyer, "tok_ok")
    paid.hear()
    # As if every note of what was heard were lost: the reactions go by the states that the rows have reached.
    Processed.objects.all().delete()
    paid.hear(again=True)
    assert paid.order["state"] == "ACCEPTED"
    assert stock_of(paid.product) == (7, 0)
    assert events_of(paid.order_id) == ["order.placed", "order.confirmed", "order.accepted"]
    assert events_of(str(paid.payment_id)) == ["payment.requested", "payment.captured"]
    assert (ProviderCharge.objects.count(), Retry.objects.count(), DeadLetter.objects.count()) == (1, 0, 0)


def test_a_declined_order_waits_for_another_payment_with_its_stock_held(seller: SignedIn, buyer: SignedIn) -> None:
    unpaid = confirm(seller, buyer, "tok_declined")
    unpaid.hear()
    order = unpaid.order
    assert order["state"] == "PENDING_CONFIRMATION"
    assert order["payment"] == {"state": "DECLINED", "attempts": 1, "decline_code": "card_declined"}
    assert stock_of(unpaid.product) == (10, 3)
    assert holds_of(unpaid.order_id) == [(unpaid.product["id"], 3, order["expires_at"])]
    assert events_of(unpaid.order_id)[-1] == "order.payment_declined"
    assert ProviderCharge.objects.count() == 0


def test_a_late_word_of_a_declined_payment_does_not_touch_the_next_one(seller: SignedIn, buyer: SignedIn) -> None:
    first = confirm(seller, buyer, "tok_declined")
    first.hear()
    buyer.post(f"/orders/{first.order_id}/confirm", {"payment": {"method": "card", "token": "tok_ok"}})
    Processed.objects.filter(consumer=ORDERS.number).delete()
    first.hear(again=True)
    assert first.order["state"] == "CONFIRMED"
    second = Payment.objects.get(reference=first.order_id, attempt=2)
    Confirmed(buyer, first.product, first.order_id, second.pk).hear()
    assert first.order["state"] == "ACCEPTED"


def test_when_the_asker_dies_after_the_charge_the_clock_asks_again_and_it_is_charged_once(
    seller: SignedIn, buyer: SignedIn
) -> None:
    paid = confirm(seller, buyer, "tok_ok")
    leased = lease_payment(payment_id=paid.payment_id)
    assert leased is not None
    charge(key=leased.pk, token=leased.token, amount=leased.amount, currency=leased.currency)
    # Its lease stands: nobody asks meanwhile, and the row says when somebody will.
    paid.hear(again=True)
    ask_for_due_payments()
    assert paid.payment.state == "REQUESTED"
    paid.set_back(lease_until=timedelta(seconds=1))
    ask_for_due_payments()
    paid.hear()
    assert (paid.payment.state, paid.payment.tries) == ("CAPTURED", 2)
    assert paid.order["state"] == "ACCEPTED"
    assert ProviderCharge.objects.count() == 1
    assert all_is_heard()


def test_an_answer_that_was_lost_is_asked_for_later_with_the_same_key(seller: SignedIn, buyer: SignedIn) -> None:
    paid = confirm(seller, buyer, "tok_flaky")
    paid.hear()
    assert (paid.payment.state, paid.payment.tries, paid.payment.lease_until) == ("REQUESTED", 1, None)
    assert ProviderCharge.objects.count() == 1
    ask_for_due_payments()
    assert paid.payment.tries == 1
    paid.set_back(next_try_at=timedelta(seconds=1))
    ask_for_due_payments()
    paid.hear()
    assert (paid.payment.state, paid.payment.tries) == ("CAPTURED", 2)
    assert paid.order["state"] == "ACCEPTED"
    assert ProviderCharge.objects.count() == 1


def test_a_provider_that_stays_away_for_a_minute_counts_as_a_refusal(seller: SignedIn, buyer: SignedIn) -> None:
    unpaid = confirm(seller, buyer, "tok_unreachable")
    unpaid.hear()
    assert unpaid.payment.state == "REQUESTED"
    unpaid.set_back(next_try_at=timedelta(seconds=1), created=timedelta(seconds=61))
    ask_for_due_payments()
    unpaid.hear()
    assert (unpaid.payment.state, unpaid.payment.decline_code) == ("DECLINED", "provider_unreachable")
    assert unpaid.order["state"] == "PENDING_CONFIRMATION"
    assert all_is_heard()


def test_a_charge_that_comes_after_giving_up_is_given_back(seller: SignedIn, buyer: SignedIn) -> None:
    unpaid = confirm(seller, buyer, "tok_ok")
    leased = lease_payment(payment_id=unpaid.payment_id)
    assert leased is not None
    answer = charge(key=leased.pk, token=leased.token, amount=leased.amount, currency=leased.currency)
    decline_payment(payment_id=unpaid.payment_id, code="provider_unreachable")
    with transaction.atomic(durable=True):
        settle_payment(leased, answer)
    unpaid.hear()
    give_back_due_refunds()
    give_back_due_refunds()
    assert ProviderCharge.objects.get().refunded is True
    assert unpaid.payment.state == "REFUNDED"
    assert unpaid.order["state"] == "PENDING_CONFIRMATION"
    assert events_of(str(unpaid.payment_id)) == ["payment.requested", "payment.declined", "payment.refunded"]


def test_a_lost_charge_of_a_provider_that_went_away_is_given_back(seller: SignedIn, buyer: SignedIn) -> None:
    unpaid = confirm(seller, buyer, "tok_flaky")
    unpaid.hear()
    unpaid.set_back(created=timedelta(seconds=61))
    decline_payment(payment_id=unpaid.payment_id, code="provider_unreachable")
    give_back_due_refunds()
    # The key is closed: whoever asks now gets no charge.
    assert ask_provider(unpaid.payment) == Declined("refunded")
    assert ProviderCharge.objects.get().refunded is True
    assert unpaid.payment.state == "REFUNDED"
    unpaid.hear()
    assert unpaid.order["state"] == "PENDING_CONFIRMATION"


def test_a_payment_whose_row_is_in_use_is_left_for_a_moment_later(seller: SignedIn, buyer: SignedIn) -> None:
    paid = confirm(seller, buyer, "tok_ok")
    caught: list[Caught] = []
    with transaction.atomic():
        Payment.objects.select_for_update(no_key=True).get(pk=paid.payment_id)
        at_once([lambda: caught.append(catch_up(PAYMENTS, Subject("payment", paid.payment_id), again=False))])
    assert [one.busy for one in caught] == [True]
    assert Processed.objects.count() == 0
    paid.hear()
    assert paid.order["state"] == "ACCEPTED"


@pytest.mark.parametrize("token", ["tok_ok", "tok_declined"])
def test_several_that_hear_the_same_payment_at_once_charge_it_once(
    seller: SignedIn, buyer: SignedIn, token: str
) -> None:
    order = confirm(seller, buyer, token)

    def hear_often() -> None:
        for _ in range(5):
            order.hear(again=True)

    at_once([hear_often] * 4)
    order.hear()
    assert order.order["state"] == {"tok_ok": "ACCEPTED", "tok_declined": "PENDING_CONFIRMATION"}[token]
    assert ProviderCharge.objects.count() == (token == "tok_ok")
    assert len(events_of(order.order_id)) == 3
    assert len(events_of(str(order.payment_id))) == 2
    assert DeadLetter.objects.count() == 0
