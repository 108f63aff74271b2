"""Confirming an order with payment details, before its deadline."""

from __future__ import annotations

from datetime import datetime

import msgspec
from django.db import transaction

from souk.eventlog.operations import acting_user, database_now
from souk.kit.context import current_traceparent
from souk.kit.machine import IllegalTransition, next_state, sources_of
from souk.kit.postgresql.prepared import prepared_rows
from souk.kit.problem import Refused
from souk.kit.tracing import traced
from souk.orders.machine import OrderMachine
from souk.orders.models import Order
from souk.orders.operations.counting import count_transitions
from souk.payments.operations import asked_columns, note_asked, payment_of

CONFIRM_AND_ASK = """
    SELECT moment, sequence, attempt FROM confirm_and_ask(%(order)s::uuid, %(change)s::jsonb, %(payment)s::jsonb)
"""


class OrderExpired(Refused):
    """The deadline has passed. The clock will close the order in a moment, if it has not yet."""

    advice = "Place a new order; what it held is for sale again."
    status, code, title = 409, "order_expired", "The deadline has passed"


@traced
@transaction.atomic(savepoint=False)
def confirm_order(*, order: Order, token: str) -> Order:
    """Confirm a pending order, which comes from `lock_own_order`, and ask its buyer for the payment.

    Its holds stay until the outcome is known. Raises OrderExpired (judged by the database's clock, in a statement after
    the one that won the row's lock, or because another buyer's order has taken a hold that was due), IllegalTransition,
    UnknownPaymentToken.
    """
    refuse_closed(order, "confirm")
    payment = payment_of(
        reference=order.pk, payer_id=order.buyer_id, amount=order.total, currency=order.currency, token=token
    )
    target = next_state(OrderMachine, order.state, "confirm")
    change = {
        "source": order.state,
        "target": target,
        "lines": len(order.lines),
        "actor": str(acting_user(order.buyer_id)),
        "traceparent": current_traceparent(),
        "data": {"state": target},
        "audience": sorted(set(order.audience)),
    }
    told = {"change": change, "payment": asked_columns(payment)}
    ((moment, sequence, attempt),) = prepared_rows(
        CONFIRM_AND_ASK,
        {"order": order.pk, **{name: msgspec.json.encode(value).decode() for name, value in told.items()}},
    )
    if sequence is None:
        raise OrderExpired
    order.state, order.last_sequence, order.updated, order.confirmed_at = target, sequence, moment, moment
    note_asked(payment, attempt=attempt, at=moment)
    order.payment = payment
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
