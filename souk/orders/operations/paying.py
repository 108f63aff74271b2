"""What a payment's outcome means for its order. Both may be heard twice, or late."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from souk.eventlog.operations import SYSTEM, change_state, database_now
from souk.orders.machine import ACCEPTED, CONFIRMED
from souk.orders.operations.locking import lock_order
from souk.payments.operations import request_refund
from souk.stock.operations import limit_holds, release_stock, sell_stock


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
    sell_stock(order_id=order.pk)
    change_state(
        order,
        "accept",
        actor=SYSTEM,
        at=(now := database_now()),
        event_type="order.accepted",
        data={"state": "ACCEPTED"},
        audience=order.audience,
        accepted_at=now,
        closed_at=now,
    )


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
