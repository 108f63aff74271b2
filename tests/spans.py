"""The spans of a trace as a tree, and how it is printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# What becomes of an order that is placed, confirmed and paid, and told to a webhook.
ORDER = [
    "POST api/v1/orders",
    "  place_order",
    "POST api/v1/orders/<uuid:order_id>/confirm",
    "  confirm_order",
    "    event payment.requested",
    "      payments payment.requested",
    "        ask provider",
    "        capture_payments",
    "        event payment.captured",
    "          orders payment.captured",
    "            accept_orders",
    "            send webhook",
]


@dataclass(frozen=True)
class Told:
    """One span, whoever collected it; times in nanoseconds."""

    process: str
    name: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    failed: bool = False


def of_trace(spans: Iterable[Told], trace: str) -> list[Told]:
    """Those of one trace, in the order of their beginnings."""
    return sorted((span for span in spans if span.trace == trace), key=lambda span: (span.began, -span.ended))


def walk(spans: list[Told], parent: str, depth: int = 0) -> Iterator[tuple[int, Told]]:
    """The spans below this one, depth first, each with its depth."""
    for span in spans:
        if span.parent == parent:
            yield depth, span
            yield from walk(spans, span.id, depth + 1)


def outline(spans: list[Told], parent: str) -> list[str]:
    """The names of the spans below this one, each indented by its depth."""
    return ["  " * depth + span.name for depth, span in walk(spans, parent)]


def printed(spans: list[Told], parent: str) -> str:
    """The tree with processes and times, in milliseconds from the first beginning."""
    first = min(span.began for span in spans)
    rows = [
        f"{'  ' * depth + span.name:<52}{span.process:<13}"
        f"{(span.began - first) / 1e6:>9.1f}{(span.ended - span.began) / 1e6:>9.1f}"
        for depth, span in walk(spans, parent)
    ]
    head = f"{'span':<52}{'process':<13}{'begin ms':>9}{'took ms':>9}"
    return "\n".join([f"trace {spans[0].trace}", head, *rows])
