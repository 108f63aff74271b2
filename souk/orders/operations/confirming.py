"""Confirming an order with payment details, before its deadline."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from souk.eventlog.operations import acting_user, change_state, database_now
from souk.kit.machine import IllegalTransition, sources_of
from souk.kit.problem import Refused
from souk.orders.machine import CONFIRMED, OrderMachine
from souk.orders.models import Order
from souk.payments.operations import request_payment
from souk.stock.operations import keep_holds


class OrderExpired(Refused):
    """The deadline has passed. The clock will close the order in a moment, if it has not yet."""

    status, code, title = 409, "order_expired", "The deadline has passed"


@transaction.atomic(savepoint=False)
def confirm_order(*, order: Order, token: str) -> Order:
    """Confirm a pending order, which comes from `lock_own_order`, and ask its buyer for the payment.

    Its holds stay until the outcome is known. Raises OrderExpired (judged by the database's clock, after the row's lock
    was won), IllegalTransition, UnknownPaymentToken.
    """
    actor = acting_user(order.buyer_id)
    now = refuse_late(order, "confirm")
    if keep_holds(order_id=order.pk) < len(order.lines):
        raise OrderExpired  # another buyer's order has taken a hold that was due
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
    )
    return order


def refuse_late(order: Order, event: str) -> datetime:
    """Judge a pending order by the clock, in a statement after its lock. Raises OrderExpired, IllegalTransition.

    A lock that was waited for and let go without a change does not make PostgreSQL look at a WHERE clause again: an
    update with the deadline in it could succeed late. Returns the moment by which it was judged.
    """
    if order.reason == "expired":
        raise OrderExpired
    if order.state not in sources_of(OrderMachine, event):
        raise IllegalTransition(f"{event} is not possible in the state {order.state}.")
    now = database_now()
    if order.expires_at <= now:
        raise OrderExpired
    return now
