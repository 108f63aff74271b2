"""What the streams did not bring: events of the log that a consumer has not heard, and tries that are due.

Redis and Debezium are the fast path. Whatever they lose is found here, by comparing the log with what was heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from django.db import connection

from souk.eventlog.operations import database_now
from souk.eventlog.retention import oldest_event
from souk.kit.entity import floor_of, moment_of
from souk.reactions.hearing import Subject, catch_up
from souk.reactions.progress import count_reconciled, heard_until
from souk.reactions.reaction import Consumer

log = structlog.get_logger()
# Younger events are still on their way.
AGE = timedelta(seconds=30)
# Ids are clocks: the search has a floor, on both sides of the comparison.
WINDOW = timedelta(hours=1)
AT_ONCE = 500

MISSED = """
SELECT e.subject_type, e.subject_id
  FROM eventlog_event e
 WHERE e.id >= %(floor)s AND e.id < %(ceiling)s AND e.type = ANY(%(types)s)
   AND e.id > coalesce((SELECT b.after FROM reactions_beginning b WHERE b.consumer = %(consumer)s),
                       '00000000-0000-0000-0000-000000000000')
   AND NOT EXISTS (SELECT 1 FROM reactions_processed p
                    WHERE p.consumer = %(consumer)s AND p.event_id = e.id AND p.event_id >= %(floor)s)
   AND NOT EXISTS (SELECT 1 FROM reactions_retry r WHERE r.consumer = %(consumer)s AND r.event_id = e.id)
 GROUP BY e.subject_type, e.subject_id ORDER BY min(e.n) LIMIT %(at_once)s
"""
# A try that was counted while somebody else's was under way, and that one came to a good end.
OVERTAKEN = """
DELETE FROM reactions_retry r USING reactions_processed p
 WHERE p.consumer = r.consumer AND p.event_id = r.event_id AND r.next_try_at <= clock_timestamp()
"""
DUE = """
SELECT r.consumer, e.subject_type, e.subject_id
  FROM reactions_retry r JOIN eventlog_event e ON e.id = r.event_id
 WHERE r.next_try_at <= clock_timestamp() AND r.consumer = ANY(%(consumers)s)
 ORDER BY r.next_try_at LIMIT %(at_once)s
"""


def reconcile(consumers: Sequence[Consumer], *, age: timedelta = AGE) -> int:
    """Let the consumers hear what they missed in the last hour, but for events younger than `age`; returns how many.

    For a consumer that is further behind it begins where that one has not heard everything: so after a machine slept.
    """
    now, found = database_now(), 0
    for consumer in consumers:
        since = min(now - WINDOW, heard_until(consumer) or now)
        found += _reconcile_since(consumer, since, now - age)
    return found


def reconcile_all(consumers: Sequence[Consumer], *, age: timedelta = AGE) -> int:
    """The same over everything the log still has; returns how many."""
    end = database_now() - age
    return sum(_reconcile_since(consumer, None, end) for consumer in consumers)


def try_again(consumers: Sequence[Consumer]) -> int:
    """Begin the tries that are due; returns how many events were heard by that."""
    by_number = {consumer.number: consumer for consumer in consumers}
    with connection.cursor() as cursor:
        cursor.execute(OVERTAKEN)
        # Those of a consumer that is no more would take the places of all others.
        cursor.execute(DUE, {"consumers": list(by_number), "at_once": AT_ONCE})
        due = [(by_number[number], Subject(*of)) for number, *of in cursor.fetchall()]
    return sum(len(catch_up(consumer, subject, again=True).ended) for consumer, subject in due)


def _reconcile_since(consumer: Consumer, since: datetime | None, end: datetime) -> int:
    """Hour by hour, so that no statement takes long however far back it goes. None: from the oldest event on."""
    oldest = oldest_event()
    if oldest is None:
        return 0
    start, found = max(moment_of(oldest), since or moment_of(oldest)), 0
    while start < end:
        found += _reconcile_window(consumer, start, min(start + WINDOW, end))
        start += WINDOW
    return found


def _reconcile_window(consumer: Consumer, start: datetime, end: datetime) -> int:
    heard = 0
    while subjects := _missed(consumer, start, end):
        found = sum(len(catch_up(consumer, subject, again=True).ended) for subject in subjects)
        heard += found
        if not found or len(subjects) < AT_ONCE:
            break
    if heard:
        count_reconciled(consumer, heard)
        log.warning("events.reconciled", consumer=consumer.name, events=heard)
    return heard


def _missed(consumer: Consumer, start: datetime, end: datetime) -> list[Subject]:
    with connection.cursor() as cursor:
        cursor.execute(
            MISSED,
            {
                "consumer": consumer.number,
                "types": consumer.types(),
                "floor": floor_of(start),
                "ceiling": floor_of(end),
                "at_once": AT_ONCE,
            },
        )
        return [Subject(*row) for row in cursor.fetchall()]
