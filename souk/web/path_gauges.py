"""How the event path stands, as Prometheus gauges: read from the database and the streams when the metrics are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import Error
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from souk.web.event_path import ConsumerLag, GroupLag, SlotLag, event_path

OF_CONSUMERS = (
    ("oldest_unprocessed_seconds", "souk_events_oldest_unprocessed_seconds", "Age of the oldest event not heard."),
    ("retrying", "souk_events_retrying", "Events that failed and wait for their next try."),
)
OF_GROUPS = (
    ("seconds", "souk_group_lag_seconds", "Age of the oldest entry of the streams that nobody was given."),
    ("entries", "souk_group_lag_entries", "Entries of the streams that nobody was given."),
    ("pending", "souk_group_pending", "Entries that were given and not acknowledged."),
    ("readers", "souk_group_readers", "Readers that asked within the last 15 seconds."),
)
OF_THE_SLOT = (
    ("active", "souk_slot_active", "Whether the replication slot is being read."),
    ("lag_bytes", "souk_slot_lag_bytes", "Bytes of the database's log that capture has not confirmed."),
    ("kept_bytes", "souk_slot_kept_bytes", "Bytes of the database's log that are kept for capture."),
    ("safe_bytes", "souk_slot_safe_bytes", "Bytes that may be written before the slot is given up."),
)


class PathGauges(Collector):
    """The gauges of consumers, groups, slot and dead letters. Without the database there are none."""

    def collect(self) -> Iterable[Metric]:
        try:
            path = event_path()
        except Error:
            return
        yield GaugeMetricFamily("souk_dead_letters", "Events that a consumer gave up.", value=path.dead_letters)
        yield _labelled(OF_CONSUMERS[0], {one.name: one for one in path.consumers})
        yield _labelled(OF_CONSUMERS[1], {one.name: one for one in path.consumers})
        yield from _groups(path.consumers)
        found = CounterMetricFamily(
            "souk_events_reconciled", "Events that only the reconciler found.", labels=["consumer"]
        )
        for one in path.consumers:
            found.add_metric([one.name], one.reconciled)
        yield found
        if path.slot:
            yield from _slot(path.slot)
        if path.clock_seconds is not None:
            yield GaugeMetricFamily(
                "souk_clock_seen_seconds", "How long ago the clock looked.", value=path.clock_seconds
            )

    def describe(self) -> Iterable[Metric]:
        return []


def _groups(consumers: Iterable[ConsumerLag]) -> Iterator[Metric]:
    groups = {one.name: one.group for one in consumers if one.group}
    return (_labelled(asked, groups) for asked in OF_GROUPS)


def _slot(slot: SlotLag) -> Iterator[Metric]:
    for field, name, what in OF_THE_SLOT:
        value = getattr(slot, field)
        if value is not None:
            yield GaugeMetricFamily(name, what, value=float(value))


def _labelled(asked: tuple[str, str, str], of: dict[str, ConsumerLag] | dict[str, GroupLag]) -> Metric:
    field, name, what = asked
    family = GaugeMetricFamily(name, what, labels=["consumer"])
    for consumer, told in of.items():
        value = getattr(told, field)
        if value is not None:
            family.add_metric([consumer], value)
    return family
