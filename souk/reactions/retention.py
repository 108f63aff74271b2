"""What is kept for a time and then goes: events, and after them the notes of who heard them, and deliveries."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection

from souk.eventlog.operations import database_now
from souk.eventlog.retention import oldest_event, purge_events
from souk.kit.entity import floor_of
from souk.reactions.progress import all_heard_before
from souk.webhooks.operations import passed_position, purge_deliveries

log = structlog.get_logger()
PURGED_AT_ONCE = 1000
# By the consumer, which is the first column of the key: else the whole table would be read for each step.
NOTES = """
WITH RECURSIVE consumers(number) AS (
    (SELECT consumer FROM {table} ORDER BY consumer LIMIT 1)
    UNION ALL
    SELECT (SELECT t.consumer FROM {table} t WHERE t.consumer > c.number ORDER BY t.consumer LIMIT 1)
      FROM consumers c WHERE c.number IS NOT NULL
), old AS (
    SELECT c.number, o.event_id FROM consumers c CROSS JOIN LATERAL (
        SELECT event_id FROM {table} WHERE consumer = c.number AND event_id < %(floor)s
         ORDER BY event_id LIMIT %(at_once)s
    ) AS o LIMIT %(at_once)s
)
DELETE FROM {table} t USING old WHERE t.consumer = old.number AND t.event_id = old.event_id
"""


def purge_what_is_old(*, before: datetime | None = None) -> int:
    """Delete the events made before this moment (None: those older than the settings keep), and what hangs on them.

    Returns how many events went. A duty of the clock.
    """
    now = database_now()
    before = before or now - settings.KEEP_EVENTS
    purge_deliveries(before=before)
    heard = all_heard_before()
    if heard is None:
        return 0
    purged = purge_events(before=before, heard=heard, passed=passed_position())
    # A note goes after its event, never before: without it the event would be heard again.
    floor = min(oldest_event() or floor_of(before), floor_of(before))
    notes = sum(_purge_notes(table, floor) for table in ("reactions_processed", "reactions_retry"))
    if purged or notes:
        log.info("events.purged", events=purged, notes=notes)
    return purged


def _purge_notes(table: str, floor: UUID) -> int:
    purged = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(NOTES.format(table=table), {"floor": floor, "at_once": PURGED_AT_ONCE})
            count = int(cursor.rowcount)
        purged += count
        if count < PURGED_AT_ONCE:
            return purged
