"""The spans of events: on their way, and while a consumer hears them."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from souk.kit import tracing
from souk.reactions.reaction import Consumer, Event

# Those that are being heard.
_heard: dict[tuple[int, UUID], tracing.Span] = {}


def begin_hearing(consumer: Consumer, event: Event) -> Event:
    """The event as the consumer hears it: what is done for it belongs to the span of the hearing, where there is one.

    That span follows one for the event's way, which began when the event was made.
    """
    recorder = tracing.recorder()
    if recorder is None:
        return event
    about: tracing.Attributes = {"souk.event.id": str(event.id), f"souk.{event.subject_type}.id": str(event.subject_id)}
    way = recorder.begin(
        f"event {event.type}", kind="producer", parent=event.traceparent, since=event.created, about=about
    )
    way.end()
    span = recorder.begin(f"{consumer.name} {event.type}", kind="consumer", parent=way.traceparent, about=about)
    _heard[consumer.number, event.id] = span
    return replace(event, traceparent=span.traceparent)


def end_hearing(consumer: Consumer, event: Event, *, error: Exception | None = None) -> None:
    """It was heard; or that failed."""
    if _heard and (span := _heard.pop((consumer.number, event.id), None)):
        span.end(error=None if error is None else type(error).__name__)


def forget_hearing(consumer: Consumer, event: Event) -> None:
    """Nothing came of it: somebody else is at it."""
    _heard.pop((consumer.number, event.id), None)
