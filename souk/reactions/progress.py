"""How far each consumer has heard the log: a row for each, by which others see the lag, and retention its bound."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from souk.eventlog.operations import database_now
from souk.kit.entity import floor_of, moment_of
from souk.reactions.reaction import Consumer

# Ids are drawn before the commit: what is younger may still be joined by an older one. No transaction of a process
# that serves lasts that long.
UNSETTLED = timedelta(seconds=60)
LOOKED_AT_ONCE = 50_000
NEW = """
INSERT INTO reactions_progress AS p (consumer, name, types, upto)
VALUES (%(consumer)s, %(name)s, %(types)s, '00000000-0000-0000-0000-000000000000')
ON CONFLICT (consumer) DO UPDATE
   SET name = excluded.name, types = excluded.types,
       -- Who hears more types than before has them still to hear.
       upto = CASE WHEN p.types @> excluded.types THEN p.upto ELSE excluded.upto END
 WHERE p.name <> excluded.name OR p.types <> excluded.types
"""
MOVE = """
UPDATE reactions_progress SET upto = greatest(upto, %s), at = clock_timestamp() WHERE consumer = %s
"""
GONE = "DELETE FROM reactions_progress WHERE consumer <> ALL (%s::smallint[])"
FOUND = """
UPDATE reactions_progress SET reconciled = reconciled + %s, reconciled_at = clock_timestamp() WHERE consumer = %s
"""


def note_progress(consumers: Sequence[Consumer]) -> None:
    """Write down how far each consumer has heard everything. A duty of the clock."""
    with connection.cursor() as cursor:
        # One that is not asked for any more (no search server is named now) would stand still for ever.
        cursor.execute(GONE, [[consumer.number for consumer in consumers]])
    settled = floor_of(database_now() - UNSETTLED)
    for consumer in consumers:
        _make_row(consumer)
        while _move(consumer, settled):
            pass


def count_reconciled(consumer: Consumer, events: int) -> None:
    """Add to the events that only the reconciler found: in the database, so that every process shows the same count."""
    _make_row(consumer)
    with connection.cursor() as cursor:
        cursor.execute(FOUND, [events, consumer.number])


def all_heard_before() -> UUID | None:
    """The id up to which every consumer has heard everything; None when that is not known."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT upto FROM reactions_progress ORDER BY upto LIMIT 1")
        row = cursor.fetchone()
        return row[0] if row else None


def heard_until(consumer: Consumer) -> datetime | None:
    """The moment up to which this consumer has heard everything; None when that is not known."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT upto FROM reactions_progress WHERE consumer = %s", [consumer.number])
        row = cursor.fetchone()
        return moment_of(row[0]) if row else None


def _make_row(consumer: Consumer) -> None:
    with connection.cursor() as cursor:
        cursor.execute(NEW, {"consumer": consumer.number, "name": consumer.name, "types": consumer.types()})


def _move(consumer: Consumer, settled: UUID) -> bool:
    """Go on by one look; whether there is more to look at."""
    with connection.cursor() as cursor:
        # What is not settled cannot be passed: under load that is most of what was not looked at.
        cursor.execute("SELECT * FROM first_unheard(%s, %s, %s)", [consumer.number, LOOKED_AT_ONCE, settled])
        unheard, looked_at, looked = cursor.fetchone()
        reached = UUID(int=unheard.int - 1) if unheard else looked_at or UUID(int=0)
        cursor.execute(MOVE, [min(reached, settled), consumer.number])
    return unheard is None and looked == LOOKED_AT_ONCE and reached < settled
