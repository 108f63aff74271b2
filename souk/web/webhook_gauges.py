"""How the sending of webhooks stands, read from the database whenever somebody reads the metrics."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import Error
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from souk.webhooks.operations import recent_outcomes, seconds_behind


class WebhookGauges(Collector):
    """The gauges of webhooks. Without the database there are none, rather than wrong ones."""

    def collect(self) -> Iterable[Metric]:
        try:
            behind, outcomes = seconds_behind(), recent_outcomes()
        except Error:
            return
        yield GaugeMetricFamily(
            "souk_webhook_behind_seconds", "Age of the oldest event not looked at for webhooks.", value=behind
        )
        deliveries = GaugeMetricFamily(
            "souk_webhook_deliveries", "Deliveries of the last hour, by how they stand.", labels=["outcome"]
        )
        for outcome, count in outcomes.items():
            deliveries.add_metric([outcome], count)
        yield deliveries

    def describe(self) -> Iterable[Metric]:
        return []
