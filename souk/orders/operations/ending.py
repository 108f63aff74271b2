"""An order that comes to nothing: cancelled by its buyer, or not confirmed in time."""

from __future__ import annotations

from django.db import connection, transaction

from souk.accounts.models import User
from souk.eventlog.operations import SYSTEM, acting_staff, acting_user, change_state, change_state_of_many
from souk.kit.tracing import traced
from souk.orders.machine import CANCELLED, PENDING
from souk.orders.models import Order
from souk.orders.operations.confirming import refuse_late
from souk.orders.operations.counting import count_expiry_lags, count_transitions
from souk.stock.operations import release_stock

AT_ONCE = 50
AUDIENCE = """
    array_append(ARRAY(SELECT DISTINCT l.seller_id FROM orders_orderline l WHERE l.order_id = changed.id), buyer_id)
"""


@traced
@transaction.atomic(savepoint=False)
def cancel_order(*, order: Order, staff: User | None = None, note: str = "") -> Order:
    """Cancel a pending order, which comes from `lock_own_order` or `lock_order`, and give its stock back.

    By its buyer, or by a member of the staff with a note that the event tells. Raises OrderExpired, IllegalTransition.
    """
    now = refuse_late(order, "cancel")
    change_state(
        order,
        "cancel",
        actor=acting_user(order.buyer_id) if staff is None else acting_staff(staff.pk),
        at=now,
        event_type="order.cancelled",
        data={"state": CANCELLED, **({"note": note} if note else {})},
        audience=order.audience,
        closed_at=now,
    )
    release_stock(order_ids=[order.pk])
    count_transitions("cancel")
    return order


@traced
@transaction.atomic
def expire_due_orders(*, limit: int = AT_ONCE) -> int:
    """Close pending orders whose deadline has passed and give back what they still hold; returns how many.

    Rows that somebody works on are left for the next round, so that several clocks do no harm.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, expires_at FROM orders_order"
            " WHERE state = %s AND expires_at <= clock_timestamp() AND deleted IS NULL"
            " ORDER BY expires_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED",
            [PENDING, limit],
        )
        due = dict(cursor.fetchall())
    if not due:
        return 0
    now = release_stock(order_ids=list(due))
    closed = change_state_of_many(
        Order,
        "expire",
        ids=list(due),
        actor=SYSTEM,
        event_type="order.not_confirmed",
        audience_sql=AUDIENCE,
        data={"reason": "expired"},
        reason="expired",
        closed_at=now,
    )
    count_transitions("expire", len(closed))
    count_expiry_lags([(now - due[order_id]).total_seconds() for order_id in closed])
    return len(closed)
