"""Confirming an order with payment details, before its deadline."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from souk.eventlog.operations import acting_user, change_state, database_now
from souk.kit.machine import IllegalTransition, sources_of
from souk.kit.problem import Refused
from souk.orders.machine import CONFIRMED, OrderMachine
from souk.orders.models import Order
from souk.orders.operations.counting import count_transitions
from souk.payments.operations import request_payment
from souk.stock.operations import keep_holds


class OrderExpired(Refused):
    """The deadline has passed. The clock will close the order in a moment, if it has not yet."""

    advice = "Place a new order; what it held is for sale again."
    status, code, title = 409, "order_expired", "The deadline has passed"


@transaction.atomic(savepoint=False)
def confirm_order(*, order: Order, token: str) -> Order:
    """Confirm a pending order, which comes from `lock_own_order`, and ask its buyer for the payment.

    Its holds stay until the outcome is known. Raises OrderExpired (judged by the database's clock, in a statement after
    the one that won the row's lock), IllegalTransition, UnknownPaymentToken.
    """
    actor = acting_user(order.buyer_id)
    refuse_closed(order, "confirm")
    kept, now = keep_holds(order_id=order.pk)
    # Fewer are kept than there are lines when another buyer's order has taken a hold that was due.
    if order.expires_at <= now or kept < len(order.lines):
        raise OrderExpired
    change_state(
        order,
        "confirm",
        actor=actor,
        at=now,
        event_type="order.confirmed",
        data={"state": CONFIRMED},
        audience=order.audience,
        confirmed_at=now,
    )
    order.payment = request_payment(
        reference=order.pk,
        payer_id=order.buyer_id,
        amount=order.total,
        currency=order.currency,
        token=token,
        actor=actor,
        at=now,
    )
    count_transitions("confirm")
    return order


def refuse_closed(order: Order, event: str) -> None:
    """Judge an order by its state. Raises OrderExpired, IllegalTransition."""
    if order.reason == "expired":
        raise OrderExpired
    if order.state not in sources_of(OrderMachine, event):
        raise IllegalTransition(f"{event} is not possible in the state {order.state}.")


def refuse_late(order: Order, event: str) -> datetime:
    """Judge a pending order by its state and by the clock. Raises OrderExpired, IllegalTransition.

    The clock is asked in a statement after the lock: one that was waited for and let go without a change does not make
    PostgreSQL look at a WHERE clause again, and an update with the deadline in it could succeed late. Returns the
    moment by which it was judged.
    """
    refuse_closed(order, event)
    now = database_now()
    if order.expires_at <= now:
        raise OrderExpired
    return now
