"""What a payment's outcome means for its order. Both may be heard twice, or late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import transaction

from souk.eventlog.operations import SYSTEM, change_state, change_state_of_many, database_now
from souk.kit.postgresql.prepared import prepared_rows
from souk.kit.tracing import traced
from souk.orders.machine import ACCEPTED, CONFIRMED
from souk.orders.models import Order
from souk.orders.operations.counting import count_transitions
from souk.orders.operations.ending import AUDIENCE
from souk.orders.operations.locking import lock_order
from souk.payments.operations import request_refund
from souk.stock.operations import limit_holds, release_stock, sell_stock, sell_stock_of

LOCK_ORDERS = """
SELECT id, state FROM orders_order
 WHERE id = ANY(%(ids)s::uuid[]) AND deleted IS NULL ORDER BY id FOR NO KEY UPDATE
"""
# A statement after the lock: one read together with it may be older than the wait for it.
LATEST_PAYMENTS = """
SELECT DISTINCT ON (reference) reference, id FROM payments_payment
 WHERE reference = ANY(%(ids)s::uuid[]) AND deleted IS NULL ORDER BY reference, attempt DESC
"""


@traced
@transaction.atomic(savepoint=False)
def accept_order(*, order_id: UUID, payment_id: UUID) -> None:
    """The order is paid: its stock leaves the house. Quiet when that has been done.

    Money for an order that does not wait for it any more is given back (the late-payment rule of docs/invariants.md).
    """
    order = lock_order(order_id=order_id)
    paid_by_this = order.payment is not None and order.payment.pk == payment_id
    if order.state == ACCEPTED and paid_by_this:
        return
    if order.state != CONFIRMED or not paid_by_this:
        request_refund(payment_id=payment_id)
        return
    now = sell_stock(order_id=order.pk)
    change_state(
        order,
        "accept",
        actor=SYSTEM,
        at=now,
        event_type="order.accepted",
        data={"state": "ACCEPTED"},
        audience=order.audience,
        accepted_at=now,
        closed_at=now,
    )
    count_transitions("accept")


@traced
@transaction.atomic(savepoint=False)
def accept_orders(*, paid: Sequence[tuple[UUID, UUID]], traceparents: Mapping[UUID, str | None]) -> None:
    """The same for many (order, payment) pairs at once; `traceparents` are the payments' traces, by order.

    Whatever is not the plain case goes through `accept_order`.
    """
    asked = dict(paid)
    confirmed = _lock_confirmed(list(asked))
    latest = prepared_rows(LATEST_PAYMENTS, {"ids": confirmed})
    plain = [order_id for order_id, payment_id in latest if asked[order_id] == payment_id]
    if plain:
        now = sell_stock_of(order_ids=plain)
        change_state_of_many(
            Order,
            "accept",
            ids=plain,
            actor=SYSTEM,
            event_type="order.accepted",
            audience_sql=AUDIENCE,
            traceparents={order_id: traceparents.get(order_id) for order_id in plain},
            accepted_at=now,
            closed_at=now,
        )
        count_transitions("accept", len(plain))
    accepted = {(order_id, asked[order_id]) for order_id in plain}
    for order_id, payment_id in paid:
        if (order_id, payment_id) not in accepted:
            accept_order(order_id=order_id, payment_id=payment_id)


def _lock_confirmed(order_ids: list[UUID]) -> list[UUID]:
    """Lock these orders, in one order for everybody; those of them that wait for their payment's outcome."""
    rows = prepared_rows(LOCK_ORDERS, {"ids": order_ids})
    return [order_id for order_id, state in rows if state == CONFIRMED]


@traced
@transaction.atomic(savepoint=False)
def take_back_order(*, order_id: UUID, payment_id: UUID, code: str) -> None:
    """The payment was declined: the order waits for another one while its deadline is ahead, and ends otherwise.

    Quiet when the order no longer waits for this payment.
    """
    order = lock_order(order_id=order_id)
    if order.state != CONFIRMED or order.payment is None or order.payment.pk != payment_id:
        return
    now = database_now()
    told = {"decline_code": code}
    if now < order.expires_at:
        limit_holds(order_id=order.pk, until=order.expires_at)
        change_state(
            order,
            "take_back",
            actor=SYSTEM,
            at=now,
            event_type="order.payment_declined",
            data={"state": "PENDING_CONFIRMATION", **told},
            audience=order.audience,
            confirmed_at=None,
        )
        count_transitions("take_back")
        return
    release_stock(order_ids=[order.pk])
    change_state(
        order,
        "decline",
        actor=SYSTEM,
        at=now,
        event_type="order.not_confirmed",
        data={"state": "NOT_CONFIRMED", "reason": "payment_declined", **told},
        audience=order.audience,
        reason="payment_declined",
        closed_at=now,
    )
    count_transitions("decline")
