"""Finding the order that an operation is about."""

from __future__ import annotations

from uuid import UUID

from souk.accounts.models import User
from souk.kit.problem import NotFound
from souk.orders.models import Order


def lock_order(*, order_id: UUID) -> Order:
    """The order, locked until the transaction ends. Raises NotFound."""
    order: Order | None = Order.objects.select_for_update(no_key=True).filter(pk=order_id).first()
    if order is None:
        raise NotFound
    return order


def lock_own_order(*, order_id: UUID, buyer: User) -> Order:
    """The buyer's order, locked until the transaction ends. Raises NotFound for everybody else's."""
    rows = Order.objects.visible_to(buyer.pk).select_for_update(no_key=True)
    order: Order | None = rows.filter(pk=order_id).first()
    if order is None:
        raise NotFound
    return order
