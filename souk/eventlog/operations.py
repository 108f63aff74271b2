"""Writing the log: `record` tells an event, `change_state` is the only way in which a state changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from django.db import connection

from souk.eventlog.models import LivingSubject, Subject
from souk.kit.context import current_traceparent
from souk.kit.machine import IllegalTransition, next_state, sources_of, transitions_of
from souk.kit.postgresql.prepared import prepared_rows

NUMBER_EVENTS_AT_ONCE = 2000
# Table, columns and the audience's expression are the model's and the caller's own, never outside text.
# The plan is kept, so the arrays are selected: the planner would plan anew for every other number of things in them.
CHANGE_MANY = """
WITH before AS (
    SELECT id, state FROM {table}
     WHERE id = ANY((SELECT %(souk_ids)s::uuid[])::uuid[]) AND state = ANY((SELECT %(sources)s::text[])::text[])
), changed AS (
    UPDATE {table} AS t
       SET state = %(target)s::text, updated = clock_timestamp(), last_sequence = last_sequence + 1{setters}
      FROM before WHERE t.id = before.id AND t.state = before.state
    RETURNING t.*, before.state AS source
), history AS (
    INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor)
    SELECT %(souk_type)s::text, id, 1 + (SELECT coalesce(max(h.sequence), 0) FROM eventlog_transition h
                                          WHERE h.subject_id = changed.id),
           source, %(target)s::text, %(souk_event)s::text, %(souk_actor)s::text
      FROM changed
)
INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, traceparent, audience)
SELECT %(souk_event_type)s::text, %(souk_type)s::text, id, last_sequence, {told} || %(souk_data)s::jsonb,
       %(souk_actor)s::text, %(souk_traces)s::jsonb ->> id::text, {audience}
  FROM changed
RETURNING subject_id
"""
STATE_REACHED = "jsonb_build_object('state', %(target)s::text)"


# One statement per change: the row, its history and its event. The guard on the old state is a second bolt on the door.
CHANGE_ONE = """
WITH changed AS (
    UPDATE {table}
       SET state = %(target)s::text, updated = %(souk_at)s::timestamptz,
           last_sequence = last_sequence + %(souk_told)s::int{setters}
     WHERE id = %(souk_id)s::uuid AND state = %(source)s::text
    RETURNING last_sequence
), history AS (
    INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor, at)
    SELECT %(souk_type)s::text, %(souk_id)s::uuid,
           1 + (SELECT coalesce(max(sequence), 0) FROM eventlog_transition WHERE subject_id = %(souk_id)s::uuid),
           %(source)s::text, %(target)s::text, %(souk_event)s::text, %(souk_actor)s::text, %(souk_at)s::timestamptz
      FROM changed
), told AS (
    INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, traceparent, audience)
    SELECT %(souk_event_type)s::text, %(souk_type)s::text, %(souk_id)s::uuid, last_sequence, %(souk_data)s::jsonb,
           %(souk_actor)s::text, %(souk_trace)s::text, %(souk_audience)s::uuid[]
      FROM changed WHERE %(souk_told)s::int = 1
)
SELECT last_sequence FROM changed
"""
BEGIN_ONE = """
WITH begun AS (
    INSERT INTO {table} ({columns}) VALUES ({values})
), history AS (
    INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor, at)
    VALUES (%(souk_type)s::text, %(souk_id)s::uuid, 1, NULL, %(target)s::text, %(souk_event)s::text,
            %(souk_actor)s::text, %(souk_at)s::timestamptz)
)
INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, traceparent, audience)
SELECT %(souk_event_type)s::text, %(souk_type)s::text, %(souk_id)s::uuid, 1, %(souk_data)s::jsonb,
       %(souk_actor)s::text, %(souk_trace)s::text, %(souk_audience)s::uuid[]
 WHERE %(souk_told)s::int = 1
"""


@dataclass(frozen=True)
class Actor:
    """Who caused a change: a user, a member of the staff in that role, or Souk itself (the clock, a reaction)."""

    type: Literal["user", "staff", "system"]
    id: UUID | None = None

    def __str__(self) -> str:
        return self.type if self.id is None else f"{self.type}:{self.id}"


SYSTEM = Actor("system")


def acting_user(user_id: UUID) -> Actor:
    """The actor of what a user does for themselves."""
    return Actor("user", user_id)


def acting_staff(user_id: UUID) -> Actor:
    """The actor of what a member of the staff does in that role."""
    return Actor("staff", user_id)


def database_now() -> datetime:
    """The database's present moment: the one clock that every process shares.

    Asked for in a statement of its own after a lock was taken: a moment read together with the lock may be older than
    the wait for it.
    """
    ((now,),) = prepared_rows("SELECT clock_timestamp()", {})
    return cast("datetime", now)


def record(
    subject: Subject,
    event_type: str,
    *,
    actor: Actor,
    data: Mapping[str, Any],
    audience: Iterable[UUID] = (),
) -> int:
    """Append an event in the caller's transaction, and return its sequence. The subject's row gets locked.

    `data` is small JSON; `audience` are the ids of the users who may see the event.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH counted AS (
                UPDATE {subject._meta.db_table} SET last_sequence = last_sequence + 1 WHERE id = %(id)s
                RETURNING last_sequence
            )
            INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, traceparent, audience)
            SELECT %(type)s, %(subject_type)s, %(id)s, last_sequence, %(data)s::jsonb, %(actor)s, %(traceparent)s,
                   %(audience)s::uuid[]
              FROM counted
            RETURNING sequence
            """,  # noqa: S608  # the table's name is the model's own
            {
                "id": subject.pk,
                "type": event_type,
                "subject_type": subject.subject_type,
                "data": _json(data),
                "actor": str(actor),
                "traceparent": current_traceparent(),
                "audience": _ids(audience),
            },
        )
        (sequence,) = cursor.fetchone()
    subject.last_sequence = sequence
    return int(sequence)


def change_state(
    row: LivingSubject,
    event: str,
    *,
    actor: Actor,
    at: datetime,
    event_type: str | None = None,
    data: Mapping[str, Any] | None = None,
    audience: Iterable[UUID] = (),
    **values: Any,
) -> None:
    """Let the row's machine take the event: state, `values`, history and (when it has a type) the event, all at once.

    The caller has locked the row and read its state under that lock. `values` are further columns to set. Raises
    IllegalTransition, and changes nothing then.
    """
    source, target = row.state, next_state(row.machine, row.state, event)
    fields = {field.attname: field for field in row._meta.concrete_fields}
    setters = {name: fields[name].get_db_prep_save(value, connection) for name, value in values.items()}
    sql = CHANGE_ONE.format(
        table=row._meta.db_table, setters="".join(f", {column} = %({column})s" for column in setters)
    )
    written = {**setters, **_history(row, event, actor, at), **_event(event_type, data, audience)}
    changed = prepared_rows(sql, {**written, "source": source, "target": target})
    if not changed:
        raise IllegalTransition(f"{event} is not possible: the state is no longer {source}.")
    for name, value in {**values, "state": target, "updated": at, "last_sequence": changed[0][0]}.items():
        setattr(row, name, value)


def begin_life(
    row: LivingSubject,
    event: str,
    *,
    actor: Actor,
    at: datetime,
    event_type: str | None = None,
    data: Mapping[str, Any] | None = None,
    audience: Iterable[UUID] = (),
) -> None:
    """Insert a new row with the first line of its history and (when it has a type) its first event, all at once."""
    row.last_sequence = int(event_type is not None)
    columns = {
        field.attname: field.get_db_prep_save(getattr(row, field.attname), connection)
        for field in row._meta.concrete_fields
    }
    sql = BEGIN_ONE.format(
        table=row._meta.db_table,
        columns=", ".join(columns),
        values=", ".join(f"%({column})s" for column in columns),
    )
    written = {**columns, **_history(row, event, actor, at), **_event(event_type, data, audience)}
    prepared_rows(sql, {**written, "target": row.state})
    row._state.adding = False


def _history(row: LivingSubject, event: str, actor: Actor, at: datetime) -> dict[str, Any]:
    return {
        "souk_type": row.subject_type,
        "souk_id": row.pk,
        "souk_event": event,
        "souk_actor": str(actor),
        "souk_at": at,
    }


def _event(event_type: str | None, data: Mapping[str, Any] | None, audience: Iterable[UUID]) -> dict[str, Any]:
    return {
        "souk_told": int(event_type is not None),
        "souk_event_type": event_type or "",
        "souk_data": _json(data or {}),
        "souk_trace": current_traceparent(),
        "souk_audience": _ids(audience),
    }


def append_history(row: LivingSubject, *, source: str | None, event: str, actor: Actor, at: datetime) -> None:
    """Write one line of the row's history. The row is locked (or new), so the sequence has no holes and no twins."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor, at)
            SELECT %(type)s, %(id)s, coalesce(max(sequence), 0) + 1, %(source)s, %(target)s, %(event)s, %(actor)s,
                   %(at)s
              FROM eventlog_transition WHERE subject_id = %(id)s
            """,
            {
                "type": row.subject_type,
                "id": row.pk,
                "source": source,
                "target": row.state,
                "event": event,
                "actor": str(actor),
                "at": at,
            },
        )


def change_state_of_many(
    model: type[LivingSubject],
    event: str,
    *,
    ids: Iterable[UUID],
    actor: Actor,
    event_type: str,
    audience_sql: str,
    data: Mapping[str, Any] | None = None,
    told_sql: str = STATE_REACHED,
    each: Mapping[str, Mapping[UUID, str]] | None = None,
    traceparents: Mapping[UUID, str | None] | None = None,
    **values: Any,
) -> list[UUID]:
    """The guarded bulk form of `change_state`, for rows that the caller has locked; returns the ids that changed.

    Rows in other states than the event's sources are passed over. `audience_sql` and `told_sql` are expressions over
    the row `changed`: who may see the event, and what it tells beside `data`. `values` are further columns to set,
    `each` those with a text per id; `traceparents` are the changes' traces.
    """
    (target,) = set(transitions_of(model.machine)[event].values())
    texts = {column: _texts(by_id) for column, by_id in (each or {}).items()}
    setters = [f", {name} = %({name})s" for name in values]
    setters += [f", {name} = %({name})s::jsonb ->> t.id::text" for name in texts]
    sql = CHANGE_MANY.format(table=model._meta.db_table, audience=audience_sql, told=told_sql, setters="".join(setters))
    written = {
        **values,
        **texts,
        "souk_ids": list(ids),
        "sources": list(sources_of(model.machine, event)),
        "target": target,
        "souk_type": model.subject_type,
        "souk_event": event,
        "souk_event_type": event_type,
        "souk_data": _json(data or {}),
        "souk_actor": str(actor),
        "souk_traces": _texts(traceparents or {}),
    }
    return [subject_id for (subject_id,) in prepared_rows(sql, written)]


def number_events(*, limit: int = NUMBER_EVENTS_AT_ONCE) -> int:
    """Give committed events their position in the feed, oldest first; returns how many got one.

    Returns 0 at once when another process is numbering. Must not run inside a longer transaction.
    """
    ((numbered,),) = prepared_rows("SELECT number_events(%(limit)s::int)", {"limit": limit})
    return int(numbered)


def number_waiting_events() -> None:
    """Give every committed event its place in the feed, or leave that to the process that is at it."""
    while number_events() == NUMBER_EVENTS_AT_ONCE:
        pass


def _json(data: Mapping[str, Any]) -> str:
    return msgspec.json.encode(data).decode()


def _texts(by_id: Mapping[UUID, str | None]) -> str:
    return _json({str(key): text for key, text in by_id.items()})


def _ids(audience: Iterable[UUID]) -> list[UUID]:
    return sorted(set(audience))


__all__ = [
    "SYSTEM",
    "Actor",
    "IllegalTransition",
    "acting_staff",
    "acting_user",
    "append_history",
    "begin_life",
    "change_state",
    "change_state_of_many",
    "database_now",
    "number_events",
    "number_waiting_events",
    "record",
]
