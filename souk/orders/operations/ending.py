"""An order that comes to nothing: cancelled by its buyer, or not confirmed in time."""

from __future__ import annotations

from uuid import UUID

from django.db import connection, transaction

from souk.accounts.models import User
from souk.eventlog.operations import SYSTEM, acting_user, change_state, change_state_of_many, database_now
from souk.orders.machine import PENDING
from souk.orders.models import Order
from souk.orders.operations.confirming import refuse_late
from souk.orders.operations.locking import audience_of, lock_own_order
from souk.stock.operations import release_stock

AT_ONCE = 50
AUDIENCE = "array_append(ARRAY(SELECT DISTINCT l.seller_id FROM orders_orderline l WHERE l.order_id = id), buyer_id)"


@transaction.atomic(savepoint=False)
def cancel_order(*, order_id: UUID, buyer: User) -> Order:
    """Cancel the buyer's pending order and give its stock back. Raises NotFound, OrderExpired, IllegalTransition."""
    order = lock_own_order(order_id=order_id, buyer=buyer)
    refuse_late(order, "cancel")
    change_state(
        order,
        "cancel",
        actor=acting_user(buyer.pk),
        at=(now := database_now()),
        event_type="order.cancelled",
        data={"state": "CANCELLED"},
        audience=audience_of(order),
        closed_at=now,
    )
    release_stock(order_ids=[order.pk])
    return order


@transaction.atomic
def expire_due_orders(*, limit: int = AT_ONCE) -> int:
    """Close pending orders whose deadline has passed and give back what they still hold; returns how many.

    Rows that somebody works on are left for the next round, so that several clocks do no harm.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM orders_order WHERE state = %s AND expires_at <= clock_timestamp() AND deleted IS NULL"
            " ORDER BY expires_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED",
            [PENDING, limit],
        )
        due = [order_id for (order_id,) in cursor.fetchall()]
    if not due:
        return 0
    release_stock(order_ids=due)
    closed = change_state_of_many(
        Order,
        "expire",
        ids=due,
        actor=SYSTEM,
        event_type="order.not_confirmed",
        audience_sql=AUDIENCE,
        reason="expired",
        closed_at=database_now(),
    )
    return len(closed)
