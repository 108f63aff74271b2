"""What the state of the shop is, read from the database whenever somebody reads the metrics."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import Error, connection
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

HOLDS = """
SELECT count(*), greatest(coalesce(extract(epoch FROM clock_timestamp() - min(until)), 0), 0) FROM stock_hold
"""
# The cheap half of `souk stock check`, as it is now: a product whose counter is not the sum of its holds. All of it
# (the ledger and the lines of orders too) is what the clock found when it last compared everything.
DRIFT = """
SELECT greatest(count(*), (SELECT drifting FROM orders_bookcheck)),
       (SELECT extract(epoch FROM clock_timestamp() - at) FROM orders_bookcheck)
  FROM (SELECT product_id, reserved FROM stock_stock WHERE reserved <> 0) AS s
  FULL JOIN (SELECT product_id, sum(quantity) AS held FROM stock_hold GROUP BY product_id) AS h USING (product_id)
 WHERE s.reserved IS DISTINCT FROM h.held
"""


class ShopGauges(Collector):
    """The gauges of holds and stock. Without the database there are none, rather than wrong ones."""

    def collect(self) -> Iterable[Metric]:
        try:
            with connection.cursor() as cursor:
                cursor.execute(HOLDS)
                holds, overdue = cursor.fetchone()
                cursor.execute(DRIFT)
                drift, age = cursor.fetchone()
        except Error:
            return
        yield GaugeMetricFamily("souk_holds_open", "Holds of pending and confirmed orders.", value=holds)
        yield GaugeMetricFamily("souk_holds_overdue_seconds", "How long the oldest hold is due.", value=float(overdue))
        yield GaugeMetricFamily("souk_stock_drift", "Products whose books differ.", value=drift)
        if age is not None:
            yield GaugeMetricFamily(
                "souk_stock_compared_seconds", "How long ago all books were compared.", value=float(age)
            )

    def describe(self) -> Iterable[Metric]:
        return []
