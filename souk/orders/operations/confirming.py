"""Confirming an order with payment details, before its deadline."""

from __future__ import annotations

from uuid import UUID

from django.db import connection, transaction

from souk.accounts.models import User
from souk.eventlog.operations import acting_user, change_state, database_now
from souk.kit.machine import IllegalTransition, sources_of
from souk.kit.problem import Refused
from souk.orders.machine import PENDING, OrderMachine
from souk.orders.models import Order, OrderLine
from souk.orders.operations.locking import audience_of, lock_own_order
from souk.payments.operations import request_payment
from souk.stock.operations import keep_holds


class OrderExpired(Refused):
    """The deadline has passed. The clock will close the order in a moment, if it has not yet."""

    status, code, title = 409, "order_expired", "The deadline has passed"


@transaction.atomic(savepoint=False)
def confirm_order(*, order_id: UUID, buyer: User, token: str) -> Order:
    """Confirm the buyer's order and ask for the payment; its holds stay until that is known.

    Raises NotFound, OrderExpired (judged by the database's clock, after the row's lock was won), IllegalTransition,
    UnknownPaymentToken.
    """
    order = lock_own_order(order_id=order_id, buyer=buyer)
    refuse_late(order, "confirm")
    change_state(
        order,
        "confirm",
        actor=acting_user(buyer.pk),
        at=(now := database_now()),
        event_type="order.confirmed",
        data={"state": "CONFIRMED"},
        audience=audience_of(order),
        confirmed_at=now,
    )
    request_payment(
        reference=order.pk,
        payer_id=buyer.pk,
        amount=order.total,
        currency=order.currency,
        token=token,
        actor=acting_user(buyer.pk),
    )
    if keep_holds(order_id=order.pk) < OrderLine.objects.filter(order=order).count():
        raise OrderExpired  # another buyer's order has taken a hold that was due
    return order


def refuse_late(order: Order, event: str) -> None:
    """Judge a pending order by the clock, in a statement after its lock. Raises OrderExpired, IllegalTransition.

    A lock that was waited for and let go without a change does not make PostgreSQL look at a WHERE clause again: an
    update with the deadline in it could succeed late.
    """
    if order.reason == "expired":
        raise OrderExpired
    if order.state not in sources_of(OrderMachine, event):
        raise IllegalTransition(f"{event} is not possible in the state {order.state}.")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM orders_order WHERE id = %s AND state = %s AND expires_at > clock_timestamp()",
            [order.pk, PENDING],
        )
        if cursor.fetchone() is None:
            raise OrderExpired
