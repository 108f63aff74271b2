"""What `/metrics` tells: the counts of every process on this machine, and the state of the shop as the database has it.

Each process counts into files of its own in one folder, which prometheus_client maps into memory; whoever is asked adds
them all up. So any API process tells of all of them, of the worker, the clock and the live process, and what a process
counted outlives it. `docs/decisions/0026-*` says why.
"""

from __future__ import annotations

from functools import cache

from django.conf import settings
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from souk.web.database_gauges import DatabaseGauges
from souk.web.gauges import ShopGauges
from souk.web.path_gauges import PathGauges
from souk.web.search_gauges import SearchGauges
from souk.web.webhook_gauges import WebhookGauges


def metrics() -> bytes:
    """The Prometheus text."""
    return generate_latest(_registry())


@cache
def _registry() -> CollectorRegistry:
    if settings.METRICS_FOLDER:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, settings.METRICS_FOLDER)  # type: ignore[no-untyped-call]  # the client ships it so
    else:
        registry = REGISTRY
    for gauges in (ShopGauges(), DatabaseGauges(), WebhookGauges(), PathGauges(), SearchGauges()):
        registry.register(gauges)
    return registry
