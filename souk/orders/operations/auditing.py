"""Whether the counters, the ledger, the holds and the open orders tell one story, and mending it where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from souk.kit.tracing import traced
from souk.orders.machine import ACCEPTED, CONFIRMED, PENDING

# One statement, and so one moment: it may run while orders are placed. A pending order may have lost a hold that was
# due, so that what is held lies between the confirmed lines and the open ones.
DRIFT = """
WITH asked AS (
    SELECT product_id FROM stock_stock WHERE %(products)s::uuid[] IS NULL
     UNION ALL SELECT unnest(%(products)s::uuid[])
), ledger AS (
    SELECT product_id, sum(d_on_hand) AS on_hand, sum(d_reserved) AS reserved,
           coalesce(sum(-d_on_hand) FILTER (WHERE kind = 'sale'), 0) AS sold
      FROM stock_movement JOIN asked USING (product_id) GROUP BY product_id
), held AS (
    SELECT product_id, sum(quantity) AS quantity FROM stock_hold JOIN asked USING (product_id) GROUP BY product_id
), ordered AS (
    SELECT l.product_id,
           coalesce(sum(l.quantity) FILTER (WHERE o.state = %(accepted)s), 0) AS sold,
           coalesce(sum(l.quantity) FILTER (WHERE o.state = %(confirmed)s), 0) AS confirmed,
           coalesce(sum(l.quantity) FILTER (WHERE o.state IN (%(confirmed)s, %(pending)s)), 0) AS open
      FROM orders_orderline l JOIN asked USING (product_id) JOIN orders_order o ON o.id = l.order_id
     GROUP BY l.product_id
), told AS (
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
SELECT product_id, on_hand, reserved, ledger_on_hand, ledger_reserved, held, ledger_sold, sold, confirmed, open
  FROM told
 WHERE on_hand IS NULL OR on_hand <> ledger_on_hand OR reserved <> ledger_reserved OR reserved <> held
    OR ledger_sold <> sold OR held NOT BETWEEN confirmed AND open
 ORDER BY product_id LIMIT %(limit)s
"""
LOCK_ORDERS = """
SELECT 1 FROM orders_order WHERE state IN (%(confirmed)s, %(pending)s)
   AND id IN (SELECT order_id FROM orders_orderline WHERE product_id = %(product)s)
 ORDER BY id FOR NO KEY UPDATE
"""
LOCK_STOCK = "SELECT 1 FROM stock_stock WHERE product_id = %(product)s FOR NO KEY UPDATE"
# Holds follow the orders: those of ended orders go, and a confirmed line that lost its hold gets it back.
MEND_HOLDS = """
WITH gone AS (
    DELETE FROM stock_hold h USING orders_order o
     WHERE h.product_id = %(product)s AND o.id = h.order_id AND o.state NOT IN (%(confirmed)s, %(pending)s)
), orphans AS (
    DELETE FROM stock_hold h WHERE h.product_id = %(product)s
       AND NOT EXISTS (SELECT 1 FROM orders_orderline l WHERE l.order_id = h.order_id AND l.product_id = h.product_id)
)
INSERT INTO stock_hold (product_id, order_id, quantity, until)
SELECT l.product_id, l.order_id, l.quantity, 'infinity'
  FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id
 WHERE l.product_id = %(product)s AND o.state = %(confirmed)s
ON CONFLICT (product_id, order_id) DO UPDATE SET quantity = excluded.quantity, until = excluded.until
"""
# Counters follow the holds, and what is on hand is never less than that. The ledger gets one line that says so.
MEND_COUNTERS = """
WITH held AS (
    SELECT coalesce(sum(quantity), 0)::integer AS quantity FROM stock_hold WHERE product_id = %(product)s
), mended AS (
    UPDATE stock_stock s SET reserved = held.quantity, on_hand = greatest(s.on_hand, held.quantity),
           version = version + 1
      FROM held WHERE s.product_id = %(product)s
    RETURNING s.on_hand, s.reserved
), ledger AS (
    SELECT coalesce(sum(d_on_hand), 0) AS on_hand, coalesce(sum(d_reserved), 0) AS reserved
      FROM stock_movement WHERE product_id = %(product)s
)
INSERT INTO stock_movement (product_id, kind, d_on_hand, d_reserved, reason, note, actor)
SELECT %(product)s, 'correction', mended.on_hand - ledger.on_hand, mended.reserved - ledger.reserved, 'counted',
       'stock check --repair', 'system'
  FROM mended, ledger WHERE mended.on_hand <> ledger.on_hand OR mended.reserved <> ledger.reserved
"""
NOTE = """
INSERT INTO orders_bookcheck (id, drifting) VALUES (1, %s)
ON CONFLICT (id) DO UPDATE SET drifting = excluded.drifting, at = clock_timestamp()
"""


@dataclass(frozen=True)
class Drift:
    """A product whose books differ. Units: `held` of its holds, `confirmed` and `open` of its order lines.

    `on_hand` and `reserved` are None for a product that has no counters at all.
    """

    product_id: UUID
    on_hand: int | None
    reserved: int | None
    ledger_on_hand: int
    ledger_reserved: int
    held: int
    ledger_sold: int
    sold: int
    confirmed: int
    open: int

    @property
    def beyond_repair(self) -> bool:
        """Whether the sales of the ledger are not those of the accepted orders: somebody must look at these."""
        return self.ledger_sold != self.sold


def find_drift(*, product_ids: Sequence[UUID] | None = None, limit: int | None = 1000) -> list[Drift]:
    """Those of these products (of all, when none are named) whose books differ, at one moment.

    Per product: what is on hand is what was received and corrected less what was sold, and what is reserved is the sum
    of the open holds: both as counter and as the sum of the movements; the sales are those of the ACCEPTED orders; a
    CONFIRMED order holds all its lines, and nothing else than a CONFIRMED or pending order holds anything.
    """
    asked = None if product_ids is None else list(product_ids)
    with connection.cursor() as cursor:
        cursor.execute(DRIFT, {**_states(), "products": asked, "limit": limit})
        return [Drift(*row) for row in cursor.fetchall()]


def note_drift() -> int:
    """Compare all books and leave how many products drift where `/metrics` finds it; returns that. For the clock."""
    drifting = len(find_drift(limit=None))
    with connection.cursor() as cursor:
        cursor.execute(NOTE, [drifting])
    return drifting


@traced
@transaction.atomic
def repair_stock(*, product_id: UUID) -> None:
    """Make the product's books agree: holds follow the orders, counters the holds, and the ledger says what was mended.

    Sales that the ledger has and the orders have not (or the other way round) stay as they are.
    """
    with connection.cursor() as cursor:
        for statement in (LOCK_ORDERS, LOCK_STOCK, MEND_HOLDS, MEND_COUNTERS):
            cursor.execute(statement, {**_states(), "product": product_id})


def _states() -> dict[str, str]:
    return {"accepted": ACCEPTED, "confirmed": CONFIRMED, "pending": PENDING}
