"""`python -m bench.orders_expiring --database URL`: close due orders while many more are pending."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from bench.orders_placing import RESULTS, database, machine
from bench.serving import environment, make_callers, make_products, migrate
from souk.orders.operations import expire_due_orders

# Orders of one line each, with everything that expiring them touches. The due ones lie among the others.
SEED = """
WITH made AS (
    INSERT INTO orders_order (id, created, updated, last_sequence, state, currency, total, expires_at, buyer_id)
    SELECT uuidv7(), now(), now(), 1, 'PENDING_CONFIRMATION', 'EUR', 1999,
           clock_timestamp() + CASE WHEN n %% %(every)s = 0 THEN interval '-1 second' ELSE interval '1 day' END,
           %(buyer)s
      FROM generate_series(1, %(pending)s) AS n RETURNING id, expires_at
), line AS (
    INSERT INTO orders_orderline (id, created, updated, order_id, number, product_id, seller_id, seller_username,
                                  seller_display_name, title, unit_price, quantity)
    SELECT uuidv7(), now(), now(), made.id, 0, p.id, p.seller_id, 'seller', '', p.title, 1999, 1
      FROM (SELECT id, row_number() OVER () AS n FROM made) AS made
      JOIN (SELECT id, seller_id, title, row_number() OVER () AS n FROM catalog_product) AS p
        ON p.n = 1 + made.n %% (SELECT count(*) FROM catalog_product) RETURNING order_id, product_id
), history AS (
    INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor)
    SELECT 'order', id, 1, NULL, 'PENDING_CONFIRMATION', 'place', 'system' FROM made
), held AS (
    INSERT INTO stock_hold (product_id, order_id, quantity, until)
    SELECT line.product_id, made.id, 1, made.expires_at FROM line JOIN made ON made.id = line.order_id
    RETURNING product_id
)
UPDATE stock_stock s SET reserved = reserved + h.units
  FROM (SELECT product_id, count(*) AS units FROM held GROUP BY product_id) AS h WHERE h.product_id = s.product_id
"""


def main() -> None:
    """Measure, print, write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--pending", type=int, default=200_000)
    asked.add_argument("--due", type=int, default=20_000)
    asked.add_argument("--database", default="")
    arguments = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="souk-bench-") as folder, database(arguments.database, Path(folder)) as url:
        found = measured(url, Path(folder), pending=arguments.pending, due=arguments.due)
    found = {"machine": machine(), **found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "orders_expiring.json").write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def measured(url: str, folder: Path, *, pending: int, due: int) -> dict[str, Any]:
    """Orders per second, and how long the clock takes to close a single due order."""
    migrate(environment(url, folder / "home"))
    (seller,), (buyer,) = make_callers(1, "seller"), make_callers(1, "buyer")
    make_products(10_000, seller, stock=1_000_000)
    with psycopg.connect(url, autocommit=True) as line:
        line.execute(SEED, {"every": pending // due, "buyer": buyer.id, "pending": pending})
        line.execute("VACUUM ANALYZE")
        began = time.perf_counter()
        closed = 0
        while number := expire_due_orders():
            closed += number
        took = time.perf_counter() - began
        line.execute(
            "UPDATE orders_order SET expires_at = clock_timestamp() WHERE id ="
            " (SELECT id FROM orders_order WHERE state = 'PENDING_CONFIRMATION' LIMIT 1)"
        )
        began = time.perf_counter()
        single = expire_due_orders()
        alone = time.perf_counter() - began
    assert (closed, single) == (due, 1)  # noqa: S101  # a figure for anything else would mislead
    return {"pending": pending, "due": due, "per_second": round(due / took, 1), "single_ms": round(1000 * alone, 1)}


if __name__ == "__main__":
    main()
