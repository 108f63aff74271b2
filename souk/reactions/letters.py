"""Dead letters in a person's hands: what could not be heard, and hearing it again once its cause is mended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from souk.reactions.reaction import Consumer

LIST = """
SELECT d.consumer, d.event_id, coalesce(d.event ->> 'type', 'no event: ' || (d.event ->> 'stream')), d.error, d.tries,
       d.at
  FROM reactions_deadletter d WHERE %(consumer)s::text IS NULL OR d.consumer = %(consumer)s
 ORDER BY d.id DESC LIMIT %(limit)s
"""
TAKE = """
DELETE FROM reactions_deadletter
 WHERE consumer = %(consumer)s AND (%(ids)s::uuid[] IS NULL OR event_id = ANY(%(ids)s))
RETURNING event_id, error
"""
UNHEARD = "DELETE FROM reactions_processed WHERE consumer = %(consumer)s AND event_id = ANY(%(ids)s)"
# A try that is due at once: the clock begins it, whatever the event's age.
DUE = """
INSERT INTO reactions_retry (consumer, event_id, tries, next_try_at, error)
SELECT %(consumer)s, t.event_id, 0, clock_timestamp(), t.error
  FROM unnest(%(ids)s::uuid[], %(errors)s::text[]) AS t(event_id, error)
  JOIN eventlog_event e ON e.id = t.event_id
ON CONFLICT (consumer, event_id) DO NOTHING
RETURNING event_id
"""
BACK = "UPDATE reactions_progress SET upto = least(upto, %s) WHERE consumer = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An event, or a stream's entry, that a consumer gave up after `tries` tries, and the last one's error."""

    consumer: str
    event_id: UUID
    type: str
    error: str
    tries: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Requeued:
    """What became of dead letters: events that are heard again, and letters behind which the log has no event."""

    events: int = 0
    dropped: int = 0


def dead_letters(*, consumer: str | None = None, limit: int) -> list[Letter]:
    """The newest dead letters, of one consumer or of all."""
    with connection.cursor() as cursor:
        cursor.execute(LIST, {"consumer": consumer, "limit": limit})
        names = ("consumer", "event_id", "type", "error", "tries", "at")
        return [Letter(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def requeue(consumers: Sequence[Consumer], *, ids: Collection[UUID] | None) -> Requeued:
    """Let these consumers hear their dead letters again (None: all of them), from the first try on.

    The letter and the note that it was heard go together, and the next try is due at once. A letter without an event in
    the log (a foreign entry, or one older than what is kept) is only taken away.
    """
    found = [_requeue_of(consumer, ids) for consumer in consumers]
    return Requeued(sum(one.events for one in found), sum(one.dropped for one in found))


@transaction.atomic(savepoint=False)
def _requeue_of(consumer: Consumer, ids: Collection[UUID] | None) -> Requeued:
    with connection.cursor() as cursor:
        cursor.execute(TAKE, {"consumer": consumer.name, "ids": None if ids is None else list(ids)})
        taken = cursor.fetchall()
        if not taken:
            return Requeued()
        asked: dict[str, Any] = {
            "consumer": consumer.number,
            "ids": [event_id for event_id, _ in taken],
            "errors": [error for _, error in taken],
        }
        cursor.execute(UNHEARD, asked)
        cursor.execute(DUE, asked)
        due = [event_id for (event_id,) in cursor.fetchall()]
        if due:
            cursor.execute(BACK, [UUID(int=min(due).int - 1), consumer.number])
    return Requeued(len(due), len(taken) - len(due))
