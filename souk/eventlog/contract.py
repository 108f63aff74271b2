"""The contract of the doors of the feed: what each says of itself. The API never loads it."""

from __future__ import annotations

from collections.abc import Mapping

from souk.eventlog.feed import EventsExpired
from souk.eventlog.serializers import EventsOut, EventsQuery
from souk.kit.described import Description

DOORS: Mapping[str, Description] = {
    "Events.get": Description(
        name="list_events",
        summary="Read the caller's events",
        tag="Events",
        caller="user",
        query=EventsQuery,
        answer=EventsOut,
        refuses=(EventsExpired,),
        text="The oldest first, nothing skipped, nothing twice. `next` is never null: pass it as `after`.",
    ),
}
