"""Keeping and giving back stock. Every verb is one call of one SQL function, and so one round trip.

Taking it is `reserve_stock`, a function of this room's migrations that others call where they write what holds it.

Lock order everywhere: product -> order -> stock (by id) -> hold (by product, order).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from django.db import connection

from souk.kit.postgresql.prepared import prepared_rows
from souk.kit.problem import Refused

LIMIT = "SELECT limit_holds(%(order)s::uuid, %(until)s::timestamptz)"
SETTLE = "SELECT settle_holds(%(orders)s::uuid[], %(kind)s::text), clock_timestamp()"
Reason = Literal["received", "damaged", "counted", "returned"]


class StockBelowReserved(Refused):
    """More is held for orders than would be on hand."""

    advice = "Set at least what is `reserved`, or wait until the orders that hold it have ended."
    status, code, title = 409, "stock_below_reserved", "More is held for orders than would be on hand"


@dataclass(frozen=True)
class ShortLine:
    """A product that cannot be held as asked: not enough of it, or not for sale at all."""

    product_id: UUID
    requested: int
    available: int
    for_sale: bool


def open_stock(*, product_id: UUID, owner_id: UUID, on_hand: int, for_sale: bool, actor: str) -> None:
    """Begin the stock of a new product."""
    _call("SELECT open_stock(%s, %s, %s, %s, %s)", [product_id, owner_id, on_hand, for_sale, actor])


def limit_holds(*, order_id: UUID, until: datetime) -> None:
    """Give the order's holds their deadline back. The caller has locked the order."""
    prepared_rows(LIMIT, {"order": order_id, "until": until})


def release_stock(*, order_ids: Iterable[UUID]) -> datetime:
    """Give back what the orders still hold; returns the database's moment after that. The caller has locked them."""
    ((_, now),) = prepared_rows(SETTLE, {"orders": list(order_ids), "kind": "release"})
    return cast("datetime", now)


def sell_stock(*, order_id: UUID) -> datetime:
    """Let what the order holds leave the house; returns the database's moment after that. The caller has locked it."""
    return sell_stock_of(order_ids=[order_id])


def sell_stock_of(*, order_ids: Iterable[UUID]) -> datetime:
    """The same for many orders at once. The caller has locked the orders."""
    ((_, now),) = prepared_rows(SETTLE, {"orders": list(order_ids), "kind": "sale"})
    return cast("datetime", now)


def lock_stock(*, product_id: UUID) -> None:
    """Keep the product's counters as they are until the transaction ends. The caller has locked the product."""
    _call("SELECT version FROM stock_stock WHERE product_id = %s FOR NO KEY UPDATE", [product_id])


def count_stock(*, product_id: UUID, on_hand: int, actor: str) -> None:
    """Set what is on hand, as counted. The caller has locked the product. Raises StockBelowReserved."""
    if not _call("SELECT correct_stock(%s, %s, NULL, 'counted', NULL, %s)", [product_id, on_hand, actor]):
        raise StockBelowReserved(errors=[_below("/stock")])


def move_stock(*, product_id: UUID, change: int, reason: Reason, note: str | None, actor: str) -> UUID:
    """Add to (or take from) what is on hand, and return the movement's id. Raises StockBelowReserved."""
    moved = _call("SELECT correct_stock(%s, NULL, %s, %s, %s, %s)", [product_id, change, reason, note, actor])
    if moved is None:
        raise StockBelowReserved(errors=[_below("/change")])
    return UUID(str(moved))


def set_for_sale(*, product_id: UUID, for_sale: bool) -> None:
    """Open or close the product to new holds; those that exist stand. The caller has locked the product."""
    _call("SELECT set_for_sale(%s, %s)", [product_id, for_sale])


def _call(sql: str, parameters: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        (value,) = cursor.fetchone()
        return value


def _below(pointer: str) -> dict[str, str]:
    return {"pointer": pointer, "code": StockBelowReserved.code, "detail": "More than that is held for orders."}
