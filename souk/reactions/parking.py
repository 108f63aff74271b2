"""What happens to an event that fails: further tries with growing pauses, then a dead letter."""

from __future__ import annotations

import traceback
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
import structlog
from django.db import connection, transaction

from souk.reactions import measures
from souk.reactions.reaction import Consumer, Event
from souk.reactions.tracing import end_hearing

log = structlog.get_logger()
MOST_TRIES = 5
# After the first, second, ... try. The last one stands for a last try that has ended the process.
PAUSES_SECONDS = (1, 5, 30, 120, 120)
NEVER_ENDED = "The last try began and never ended: perhaps it ends the process that runs it."
LONGEST_TEXT = 4000


def begin_again(consumer: Consumer, event: Event) -> None:
    """Count a try before it begins, in the caller's transaction, and put the next one off."""
    _count(consumer, event, error="The try has not ended yet.")


def note_failure(consumer: Consumer, event: Event, error: Exception, *, counted: bool) -> bool:
    """Remember why a try failed, and count it unless that was done before. After the last one the event is parked.

    Returns whether it was parked: then the subject's next event may be heard.
    """
    end_hearing(consumer, event, error=error)
    measures.failed.labels(consumer.name).inc()
    reason = "".join(traceback.format_exception(error))[-LONGEST_TEXT:]
    log.warning("event.failed", consumer=consumer.name, event_id=str(event.id), type=event.type, error=str(error))
    with transaction.atomic(durable=True):
        tries = _put_reason(consumer, event, reason) if counted else _count(consumer, event, error=reason)
        if tries >= MOST_TRIES:
            park(consumer, event, error=reason)
            return True
    return False


def park(consumer: Consumer, event: Event, *, error: str | None) -> None:
    """Make the event a dead letter, in the caller's transaction: it counts as heard, and a person must look at it.

    Without an `error` the reason is that of its last try.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM reactions_retry WHERE consumer = %s AND event_id = %s RETURNING error, tries",
            [consumer.number, event.id],
        )
        last, tries = cursor.fetchone() or (NEVER_ENDED, 1)
        cursor.execute(
            "INSERT INTO reactions_processed (consumer, event_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [consumer.number, event.id],
        )
    told: dict[str, Any] = msgspec.to_builtins(event)
    _write_letter(consumer, event.id, told, error or last, tries=tries)


def park_entry(consumer: Consumer, *, stream: str, entry_id: str, fields: dict[str, str], error: str) -> None:
    """Make an entry of a stream that no event stands behind a dead letter."""
    told = {"stream": stream, "entry_id": entry_id, "fields": fields}
    with transaction.atomic(durable=True):
        _write_letter(consumer, uuid5(NAMESPACE_URL, f"{stream}/{entry_id}"), told, error)


def _write_letter(consumer: Consumer, event_id: UUID, told: dict[str, Any], error: str, *, tries: int = 1) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO reactions_deadletter (consumer, event_id, event, error, tries)"
            " VALUES (%s, %s, %s::jsonb, %s, %s) ON CONFLICT (consumer, event_id)"
            " DO UPDATE SET error = excluded.error, tries = excluded.tries, at = clock_timestamp()",
            [consumer.name, event_id, msgspec.json.encode(told).decode(), error.replace("\0", ""), tries],
        )
    measures.parked.labels(consumer.name).inc()
    log.error("event.parked", consumer=consumer.name, event_id=str(event_id), error=error[-300:])


def _count(consumer: Consumer, event: Event, *, error: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO reactions_retry AS r (consumer, event_id, tries, next_try_at, error)"
            " VALUES (%(consumer)s, %(event_id)s, 1, clock_timestamp() + (%(pauses)s::interval[])[1], %(error)s)"
            " ON CONFLICT (consumer, event_id) DO UPDATE SET tries = r.tries + 1, error = excluded.error,"
            " next_try_at = clock_timestamp() + (%(pauses)s::interval[])[least(r.tries + 1, %(most)s)]"
            " RETURNING tries",
            {
                "consumer": consumer.number,
                "event_id": event.id,
                "pauses": [f"{seconds} seconds" for seconds in PAUSES_SECONDS],
                "most": MOST_TRIES,
                "error": error.replace("\0", ""),
            },
        )
        return int(cursor.fetchone()[0])


def _put_reason(consumer: Consumer, event: Event, reason: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE reactions_retry SET error = %s WHERE consumer = %s AND event_id = %s RETURNING tries",
            [reason.replace("\0", ""), consumer.number, event.id],
        )
        row = cursor.fetchone()
        return int(row[0]) if row else 0
