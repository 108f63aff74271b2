"""What the event path counts. Labels are consumers: few, and never ids."""

from __future__ import annotations

from collections.abc import Iterable

from souk.kit.counting import Counter, Histogram

heard = Counter("souk_events_heard", "Events that a consumer had its effect of.", ["consumer"])
failed = Counter("souk_events_failed", "Tries that failed.", ["consumer"])
parked = Counter("souk_events_parked", "Events and entries that became dead letters.", ["consumer"])
delay_seconds = Histogram(
    "souk_event_delay_seconds",
    "From an event's making to the end of its effect.",
    ["consumer"],
    buckets=(0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1, 2.5, 5, 15, 60, 300),
)


def begin_at_zero(consumers: Iterable[str]) -> None:
    """Show what has not happened yet, too: a count that begins at one is no increase to whoever watches."""
    for consumer in consumers:
        for counter in (heard, failed, parked):
            counter.labels(consumer)
