"""The shapes of events: in the feed, in a live stream and in a webhook's body they are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from souk.eventlog.feed import Told
from souk.eventlog.types import EVENT_TYPES, unknown_types
from souk.kit.parsing import Count, Cursor, Limit, Moment, Shape, told, words_of
from souk.kit.problem import MalformedRequest

EventType = Annotated[str, words_of(*EVENT_TYPES)]
ONE_TYPE = f"({'|'.join(name.replace('.', '[.]') for name in EVENT_TYPES)})"


class EventsQuery(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of the feed. `types` are separated by commas."""

    after: Cursor | None = None
    types: Annotated[str, told(pattern=f"^{ONE_TYPE}(,{ONE_TYPE})*$")] | None = None
    limit: Limit = 20


class SubjectOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an event tells about."""

    type: str
    id: UUID


class ActorOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who caused it."""

    type: Annotated[str, words_of("user", "staff", "system")]
    id: UUID | None


class EventOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event, as one user may see it."""

    id: UUID
    type: EventType
    subject: SubjectOut
    sequence: Count
    created: Moment
    actor: ActorOut
    data: Mapping[str, Any]
    traceparent: str | None


class EventsOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of the feed; `next` is never null."""

    results: list[EventOut]
    next: str


def event_out(event: Told) -> EventOut:
    """The event as everybody outside reads it."""
    kind, _, actor_id = event.actor.partition(":")
    return EventOut(
        id=event.id,
        type=event.type,
        subject=SubjectOut(type=event.subject_type, id=event.subject_id),
        sequence=event.sequence,
        created=event.created,
        actor=ActorOut(type=kind, id=UUID(actor_id) if actor_id else None),
        data=event.data,
        traceparent=event.traceparent,
    )


def types_of(given: str | None) -> list[str] | None:
    """The types named in a query. Raises MalformedRequest for what is no type of event."""
    if given is None:
        return None
    types = given.split(",")
    unknown = unknown_types(types)
    if unknown:
        errors = [
            {"parameter": "types", "code": "unknown", "detail": f"Number {n + 1} is no type."} for n, _ in unknown
        ]
        raise MalformedRequest("Some types of event are unknown.", errors=errors)
    return types
