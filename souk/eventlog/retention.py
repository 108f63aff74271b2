"""Letting old events go: the lowest positions first, in small steps, each a transaction of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db import connection, transaction

PURGED_AT_ONCE = 1000
LOCK = "SELECT pg_try_advisory_xact_lock(20, 2)"
# The first of the log, up to where one is still wanted: whoever reads by position finds a clean edge, never a hole.
PURGE = """
WITH oldest AS (
    SELECT id, position, created, audience FROM eventlog_event
     WHERE position IS NOT NULL ORDER BY position LIMIT %(at_once)s
), kept AS (
    SELECT min(position) AS position FROM oldest
     WHERE created >= %(before)s OR id > %(heard)s OR position > %(passed)s
), gone AS (
    DELETE FROM eventlog_event e USING oldest o, kept k
     WHERE e.id = o.id AND (k.position IS NULL OR o.position < k.position)
    RETURNING o.position, o.audience
), unlisted AS (
    DELETE FROM eventlog_audience a USING gone g CROSS JOIN LATERAL unnest(g.audience) AS reader
     WHERE a.user_id = reader AND a.position = g.position
)
SELECT count(*) FROM gone
"""
GONE_BEFORE = """
SELECT e.position, coalesce(e.created, clock_timestamp()), p.last
  FROM eventlog_position p LEFT JOIN LATERAL (
    SELECT position, created FROM eventlog_event WHERE position IS NOT NULL ORDER BY position LIMIT 1
  ) AS e ON true
"""
NOWHERE_YET = 2**63 - 1


def purge_events(*, before: datetime, heard: UUID, passed: int | None) -> int:
    """Delete the events made before this moment, with their audience; returns how many.

    None is deleted that a consumer has still to hear (`heard` is the id up to which all did), or that a webhook may
    still need (`passed` is the position up to which none does; None: nobody asks for it).
    """
    asked: dict[str, Any] = {
        "before": before,
        "heard": heard,
        "passed": NOWHERE_YET if passed is None else passed,
        "at_once": PURGED_AT_ONCE,
    }
    purged = 0
    while True:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(LOCK)
            if cursor.fetchone() != (True,):
                return purged
            # A statement of its own: it sees what the lock's last holder has deleted.
            cursor.execute(PURGE, asked)
            count = int(cursor.fetchone()[0])
        purged += count
        if count < PURGED_AT_ONCE:
            return purged


def gone_before() -> datetime | None:
    """The moment before which events are gone; None while all that ever were are kept."""
    with connection.cursor() as cursor:
        cursor.execute(GONE_BEFORE)
        first, created, last = cursor.fetchone()
    if first == 1 or last == 0:
        return None
    return cast("datetime", created)


def oldest_event() -> UUID | None:
    """The least id of the events that are kept."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM eventlog_event ORDER BY id LIMIT 1")
        row = cursor.fetchone()
        return row[0] if row else None
