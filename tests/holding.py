"""Holding stock as placing an order does, without the order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from souk.kit.postgresql.prepared import prepared_rows
from souk.stock.operations import ShortLine

RESERVE = """
    SELECT product_id, requested, available, for_sale
      FROM reserve_stock(%(order)s, %(ids)s::uuid[], %(quantities)s::integer[], %(until)s::timestamptz)
"""


def reserve_stock(*, order_id: UUID, wanted: Sequence[tuple[UUID, int]], until: datetime) -> list[ShortLine]:
    """Hold (product, quantity) pairs for an order until a moment; the lines that are short."""
    ids, quantities = [product for product, _ in wanted], [quantity for _, quantity in wanted]
    rows = prepared_rows(RESERVE, {"order": order_id, "ids": ids, "quantities": quantities, "until": until})
    return [ShortLine(*row) for row in rows]


def keep_holds(*, order_id: UUID) -> int:
    """Keep the holds of an order that are not due, as confirming it does; how many."""
    ((kept,),) = prepared_rows("SELECT keep_holds(%(order)s::uuid)", {"order": order_id})
    return int(kept)
