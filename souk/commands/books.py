"""Whether stock, ledger, holds and orders tell the same story, product by product."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import connection

# One statement, and so one moment: it may run while orders are placed.
COMPARISON = """
WITH asked AS (SELECT unnest(%s::uuid[]) AS product_id),
ledger AS (
    SELECT product_id, sum(d_on_hand) AS on_hand, sum(d_reserved) AS reserved,
           coalesce(sum(-d_on_hand) FILTER (WHERE kind = 'sale'), 0) AS sold
      FROM stock_movement JOIN asked USING (product_id) GROUP BY product_id
),
held AS (
    SELECT product_id, sum(quantity) AS quantity FROM stock_hold JOIN asked USING (product_id) GROUP BY product_id
),
ordered AS (
    SELECT l.product_id,
           coalesce(sum(l.quantity) FILTER (WHERE o.state = 'ACCEPTED'), 0) AS sold,
           coalesce(sum(l.quantity) FILTER (WHERE o.state = 'CONFIRMED'), 0) AS confirmed,
           coalesce(sum(l.quantity) FILTER (WHERE o.state IN ('CONFIRMED', 'PENDING_CONFIRMATION')), 0) AS open
      FROM orders_orderline l JOIN asked USING (product_id) JOIN orders_order o ON o.id = l.order_id
     GROUP BY l.product_id
),
told AS (
    SELECT product_id, s.on_hand, s.reserved,
           coalesce(ledger.on_hand, 0) AS ledger_on_hand, coalesce(ledger.reserved, 0) AS ledger_reserved,
           coalesce(held.quantity, 0) AS held, coalesce(ledger.sold, 0) AS ledger_sold,
           coalesce(ordered.sold, 0) AS sold, coalesce(ordered.confirmed, 0) AS confirmed,
           coalesce(ordered.open, 0) AS open
      FROM asked
      LEFT JOIN stock_stock s USING (product_id)
      LEFT JOIN ledger USING (product_id)
      LEFT JOIN held USING (product_id)
      LEFT JOIN ordered USING (product_id)
)
SELECT * FROM told
 WHERE on_hand IS NULL OR on_hand <> ledger_on_hand OR reserved <> ledger_reserved OR reserved <> held
    OR ledger_sold <> sold OR held NOT BETWEEN confirmed AND open
 ORDER BY product_id
"""


def disagreements(product_ids: Sequence[UUID]) -> list[str]:
    """A sentence for each of these products whose books differ; none when all agree.

    Per product: what is on hand is what was received and corrected less what was sold, and what is reserved is the sum
    of the open holds: both as counter and as the sum of the movements; the sales are those of the ACCEPTED orders; a
    CONFIRMED order holds all its lines, and nothing else than a CONFIRMED or pending order holds anything.
    """
    with connection.cursor() as cursor:
        cursor.execute(COMPARISON, [list(product_ids)])
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [
        f"product {row.pop('product_id')}: " + ", ".join(f"{name} {value}" for name, value in row.items())
        for row in rows
    ]
