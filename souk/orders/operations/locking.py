"""Finding the order that an operation is about."""

from __future__ import annotations

from uuid import UUID

from souk.accounts.models import User
from souk.kit.entity import read_rows
from souk.kit.problem import NotFound
from souk.orders.models import Order


def lock_order(*, order_id: UUID) -> Order:
    """The order, locked until the transaction ends. Raises NotFound."""
    found = read_rows(Order, "WHERE id = %(id)s AND deleted IS NULL FOR NO KEY UPDATE", {"id": order_id})
    if not found:
        raise NotFound
    return found[0]


def lock_own_order(*, order_id: UUID, buyer: User) -> Order:
    """The buyer's order, locked until the transaction ends. Raises NotFound for everybody else's."""
    found = read_rows(
        Order,
        "WHERE id = %(id)s AND buyer_id = %(buyer)s AND deleted IS NULL FOR NO KEY UPDATE",
        {"id": order_id, "buyer": buyer.pk},
    )
    if not found:
        raise NotFound
    return found[0]
