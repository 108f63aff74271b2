"""Who is connected to the database, as the database tells it whenever somebody reads the metrics."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import Error, connection
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# Whoever else is connected may call themselves anything: they are "other".
PROCESSES = ("api", "worker", "clock", "live", "command")
CONNECTIONS = """
SELECT coalesce(substring(application_name FROM '^souk ([a-z]+)$'), 'other') AS process,
       CASE WHEN state IN ('active', 'idle') THEN state WHEN state LIKE 'idle in transaction%%' THEN 'in transaction'
            ELSE 'other' END AS doing,
       count(*)
  FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' GROUP BY 1, 2
"""
MOST = "SELECT current_setting('max_connections')::int"


class DatabaseGauges(Collector):
    """The gauges of connections. Without the database there are none."""

    def collect(self) -> Iterable[Metric]:
        try:
            with connection.cursor() as cursor:
                cursor.execute(CONNECTIONS, [])
                found = cursor.fetchall()
                cursor.execute(MOST)
                (most,) = cursor.fetchone()
        except Error:
            return
        counted: dict[tuple[str, str], int] = {}
        for process, doing, number in found:
            key = (process if process in PROCESSES else "other", doing)
            counted[key] = counted.get(key, 0) + number
        family = GaugeMetricFamily(
            "souk_database_connections", "Connections, by process and what they do.", labels=["process", "state"]
        )
        for labels, number in sorted(counted.items()):
            family.add_metric(labels, number)
        yield family
        yield GaugeMetricFamily("souk_database_connections_most", "As many may be open.", value=most)

    def describe(self) -> Iterable[Metric]:
        return []
