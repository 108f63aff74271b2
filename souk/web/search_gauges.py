"""How the search server stands, as Prometheus gauges. Without one there are none."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db import Error
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from souk.search.operations.choosing import watch
from souk.search.operations.indexing import count_outdated, seconds_behind


class SearchGauges(Collector):
    """How late its documents are, how many wait, and whether this process asks it."""

    def collect(self) -> Iterable[Metric]:
        if not settings.SEARCH_URL:
            return
        yield GaugeMetricFamily("souk_search_asked", "1: the search server answers searches.", value=not watch().told())
        try:
            behind, waiting = seconds_behind(), count_outdated()
        except Error:
            return
        yield GaugeMetricFamily("souk_search_lag_seconds", "How late the search server's documents are.", value=behind)
        yield GaugeMetricFamily("souk_search_outdated", "Products whose documents must be written.", value=waiting)

    def describe(self) -> Iterable[Metric]:
        return []
