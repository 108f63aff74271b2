"""Reading the log as one of its listeners: by position, nothing skipped, nothing twice.

A position is given after the commit, by one writer at a time, so the positions that a snapshot shows have no holes:
whoever has read up to one of them has missed nothing before it. `docs/decisions/0023-*` says why ids cannot do that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from django.apps import apps
from django.db import connection

from souk.eventlog.models import Subject
from souk.eventlog.operations import number_events, number_waiting_events
from souk.kit.cursor import BadCursor, decode_cursor, encode_cursor
from souk.kit.problem import MalformedRequest, Refused

LIST = "events"
# A cursor that is further behind than this moves on although there was nothing for its reader: it must neither expire
# for no reason nor let the same stretch be searched for a rare type again and again.
FAR_BEHIND = 1000

COLUMNS = "e.id, e.type, e.subject_type, e.subject_id, e.sequence, e.data, e.actor, e.traceparent, e.created"
# One statement, one snapshot: the page, and both ends of the log as they were when it was read.
PAGE = f"""
SELECT ends.first, ends.last, page.*
  FROM (SELECT p.last, coalesce((SELECT min(position) FROM eventlog_event), p.last + 1) AS first
          FROM eventlog_position p) AS ends
  LEFT JOIN LATERAL (
    SELECT a.position, {COLUMNS}
      FROM eventlog_audience a JOIN eventlog_event e ON e.id = a.event_id
     WHERE a.user_id = %(user_id)s AND a.position > %(after)s
       AND (%(types)s::text[] IS NULL OR a.type = ANY(%(types)s))
     ORDER BY a.position LIMIT %(limit)s
  ) AS page ON true
 ORDER BY page.position
"""  # noqa: S608  # the columns are named above


class EventsExpired(Refused):
    """What came after this cursor is partly gone: events are kept for a time. `oldest` in the error begins anew."""

    advice = "Read the present state of what you follow, then go on from the cursor in `oldest`."
    status, code, title = 410, "events_expired", "These events are no longer kept"

    def __init__(self, parameter: str, oldest: int) -> None:
        detail = "Begin at the cursor in `oldest`, or read the present state instead."
        cursor = encode_cursor(LIST, oldest)
        super().__init__(
            errors=[{"parameter": parameter, "code": self.code, "detail": detail, "oldest": cursor}],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event as one user may see it. `position` is its place in the feed."""

    position: int
    id: UUID
    type: str
    subject_type: str
    subject_id: UUID
    sequence: int
    data: Mapping[str, Any]
    actor: str
    traceparent: str | None
    created: datetime


@dataclass(frozen=True, slots=True)
class FeedPage:
    """A page of a user's events, oldest first. `after` continues it."""

    events: list[Told]
    after: int


def read_feed(
    *,
    user_id: UUID,
    after: int | None,
    types: Sequence[str] | None = None,
    limit: int,
    number_waiting: bool = True,
) -> FeedPage:
    """The user's events behind the position `after` (None: from the oldest there is), of these types (None: of all).

    Numbers waiting events when the page is short, unless `number_waiting` is false, so it must not run inside a
    transaction. An empty page repeats `after`, unless that is far behind. Raises EventsExpired, and MalformedRequest
    for a position that was never given.
    """
    page, is_short = _read(user_id, after, types, limit)
    if is_short and number_waiting and number_events():
        page, _ = _read(user_id, after, types, limit)
    return page


def last_position() -> int:
    """The position of the newest event that has one: whoever begins there hears what is to come."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT last FROM eventlog_position")
        (last,) = cursor.fetchone()
    return int(last)


def present_position() -> int:
    """The position behind which is what happens from now on. Must not run inside a longer transaction.

    Not a moment: what was written before it and is committed after it happens after it. Numbering first, so that what
    was committed before it is left out; and who replays it finds it numbered.
    """
    number_waiting_events()
    return last_position()


def position_of(cursor: str, *, parameter: str) -> int:
    """The position in a feed's cursor. Raises MalformedRequest that names the parameter."""
    try:
        position: int = decode_cursor(LIST, cursor, int)
    except BadCursor as bad:
        raise _bad(parameter) from bad
    if position < 0:
        raise _bad(parameter)
    return position


def cursor_of(position: int) -> str:
    """The cursor that continues the feed behind a position."""
    return encode_cursor(LIST, position)


def seen_by(viewer_id: UUID, events: Iterable[Told]) -> list[Told]:
    """The same events, with of each one's data only what this user may see."""
    events = list(events)
    by_kind: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        by_kind.setdefault(event.subject_type, []).append(place)
    for kind, places in by_kind.items():
        subject = _subjects().get(kind, Subject)
        seen = subject.data_seen_by(viewer_id, [(events[place].subject_id, events[place].data) for place in places])
        for place, data in zip(places, seen, strict=True):
            events[place] = replace(events[place], data=data)
    return events


def told(position: int, columns: Sequence[Any]) -> Told:
    """The event of a row with `COLUMNS`, whole."""
    names = ("id", "type", "subject_type", "subject_id", "sequence", "data", "actor", "traceparent", "created")
    values = dict(zip(names, columns, strict=True))
    values["data"] = msgspec.json.decode(values["data"])
    return Told(position=position, **values)


def _read(user_id: UUID, after: int | None, types: Sequence[str] | None, limit: int) -> tuple[FeedPage, bool]:
    parameters: dict[str, Any] = {
        "user_id": user_id,
        "after": after or 0,
        "types": None if types is None else list(types),
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(PAGE, parameters)
        rows = cursor.fetchall()
    first, last = rows[0][:2]
    if after is None:
        after = first - 1
    elif after < first - 1:
        raise EventsExpired("after", first - 1)
    elif after > last:
        raise _bad("after")
    events = seen_by(user_id, [told(position, columns) for _, _, position, *columns in rows if position is not None])
    if events:
        after = events[-1].position
    elif last - after > FAR_BEHIND:
        after = last
    return FeedPage(events, after), len(events) < limit


@cache
def _subjects() -> Mapping[str, type[Subject]]:
    return {model.subject_type: model for model in apps.get_models() if issubclass(model, Subject)}


def _bad(parameter: str) -> MalformedRequest:
    error = {"parameter": parameter, "code": "invalid", "detail": "Use the cursor that the feed gave."}
    return MalformedRequest("The cursor is not one of this feed.", errors=[error])
