"""Hearing what a subject has to tell: each of its events once, in order, whoever calls and however often.

A stream's entry, the reconciler and the clock all say the same thing: this consumer has not heard everything about this
subject. What there is to hear is read from the log itself, so an entry that got lost, came twice, came late or was
forged changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

import msgspec
import structlog
from django.db import InterfaceError, OperationalError, connection, transaction

from souk.kit.context import enter
from souk.kit.postgresql.prepared import prepared_rows
from souk.reactions import measures
from souk.reactions.parking import MOST_TRIES, begin_again, note_failure, park
from souk.reactions.reaction import Answered, Busy, Consumer, Errand, Event, JointEffect
from souk.reactions.tracing import begin_hearing, end_hearing, forget_hearing

log = structlog.get_logger()
# The first key of the advisory locks; the number of the consumer is added.
LOCKS = 2000

# What each of these subjects tells first, and the next one, for whether there is more behind it matters. Every event
# with a smaller sequence is visible here: both were written under the subject's row lock.
# The plan is kept, so it is made to fit whatever comes: the arrays are selected, for the planner would plan anew for
# every other number of things in them; and what was heard or failed is looked up event by event, for a join that was
# planned while there was hardly any would go through all of it later.
UNHEARD = """
SELECT u.id, u.type, u.subject_type, u.subject_id, u.sequence, u.data::text, u.actor, u.traceparent, u.created,
       r.event_id IS NOT NULL AS failed, coalesce(r.tries, 0) AS tries,
       coalesce(r.next_try_at > clock_timestamp(), false) AS waits
  FROM unnest((SELECT %(ids)s::uuid[]), (SELECT %(kinds)s::text[])) AS s (id, kind)
 CROSS JOIN LATERAL (
    SELECT e.* FROM eventlog_event e
     WHERE e.subject_id = s.id AND e.subject_type = s.kind AND e.type = ANY((SELECT %(types)s::text[])::text[])
       AND e.id > coalesce((SELECT b.after FROM reactions_beginning b WHERE b.consumer = %(consumer)s),
                           '00000000-0000-0000-0000-000000000000')
       AND (SELECT p.event_id FROM reactions_processed p WHERE p.consumer = %(consumer)s AND p.event_id = e.id) IS NULL
     ORDER BY e.sequence LIMIT 2
 ) u
  LEFT JOIN LATERAL (
    SELECT f.* FROM reactions_retry f WHERE f.consumer = %(consumer)s AND f.event_id = u.id LIMIT 1
 ) r ON true
"""
MARK = """
INSERT INTO reactions_processed (consumer, event_id)
SELECT %(consumer)s::smallint, unnest(%(ids)s::uuid[]) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """What events tell about."""

    type: str
    id: UUID


@dataclass(slots=True)
class Caught:
    """What came of catching up: `busy` when somebody else is at the subject; the ids of the events that ended here."""

    busy: bool = False
    ended: list[UUID] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Unheard:
    """The first event that a subject has still to tell. `failed` before, after `tries`; `waits` for its next try."""

    event: Event
    failed: bool
    tries: int
    waits: bool
    is_last: bool


def catch_up(consumer: Consumer, subject: Subject, *, again: bool) -> Caught:
    """Let the consumer hear all that it has not heard of this subject, oldest first.

    `again`: this may not be the first try, so it is counted before it begins; an event that ends the whole process is
    counted too. An event that fails waits for its next try, and those behind it wait with it. Raises only when the
    database is away.
    """
    caught = Caught()
    try:
        while _hear_next(consumer, subject, again, caught):
            pass
    except Busy:
        caught.busy = True
    finally:
        enter()
    return caught


def is_in_log(event_id: UUID) -> bool:
    """Whether the log has this event."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM eventlog_event WHERE id = %s", [event_id])
        return cursor.fetchone() is not None


def _hear_next(consumer: Consumer, subject: Subject, again: bool, caught: Caught) -> bool:
    """Hear the subject's first unheard event; whether there is one behind it to go on with. Raises Busy."""
    counted = _count_first(consumer, subject, caught) if again else None
    if again and counted is None:
        return False
    first: Unheard | None = None
    try:
        # Who has counted a try is the one to run it: others leave it alone, so the lock is free in a moment.
        with _locked(consumer, subject, wait=again):
            first = _unheard(consumer, subject)
            # It waits when its try was put off; not if that was done just now, by ourselves.
            if first is None or (first.waits and first.event.id != counted):
                return False
            first = replace(first, event=begin_hearing(consumer, first.event))
            job = _begin(consumer, first)
        if job is not None:
            _finish(consumer, first, job)
    except Busy:
        if first is not None:
            forget_hearing(consumer, first.event)
        raise
    except Exception as error:
        if first is None or is_away(error):
            raise
        parked = note_failure(consumer, first.event, error, counted=first.event.id == counted)
        if parked:
            caught.ended.append(first.event.id)
        return parked
    tell_heard(consumer, first.event)
    caught.ended.append(first.event.id)
    # Who came meanwhile with news of the subject may have seen the counted try, and left the news to us.
    return again or not first.is_last


def _count_first(consumer: Consumer, subject: Subject, caught: Caught) -> UUID | None:
    """Count the try of the first unheard event that is about to begin; None when none may be begun now. Raises Busy."""
    while True:
        with _locked(consumer, subject, wait=False):
            first = _unheard(consumer, subject)
            if first is None or first.waits:
                return None
            if first.tries < MOST_TRIES:
                begin_again(consumer, first.event)
                return first.event.id
            park(consumer, first.event, error=None)
        caught.ended.append(first.event.id)


@contextmanager
def _locked(consumer: Consumer, subject: Subject, *, wait: bool) -> Iterator[None]:
    """A transaction in which nobody else lets this consumer hear about this subject. Raises Busy unless it waits."""
    key: list[int | str] = [LOCKS + consumer.number, str(subject.id)]
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            # A statement of its own: the next one then sees what the lock's last holder committed.
            if wait:
                cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", key)
            else:
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", key)
                if cursor.fetchone() != (True,):
                    raise Busy
        yield


def first_unheard(consumer: Consumer, subjects: Iterable[Subject]) -> list[Unheard]:
    """What each of these subjects tells next. The caller holds their locks, won in an earlier statement."""
    kinds = {subject.id: subject.type for subject in subjects}
    rows = prepared_rows(
        UNHEARD,
        {
            "ids": list(kinds),
            "kinds": list(kinds.values()),
            "consumer": consumer.number,
            "types": consumer.types(),
        },
    )
    found: list[Unheard] = []
    for _, group in groupby(rows, key=itemgetter(3)):
        (*columns, failed, tries, waits), *behind = group
        found.append(Unheard(event_of(columns), failed=failed, tries=tries, waits=waits, is_last=not behind))
    return found


def _unheard(consumer: Consumer, subject: Subject) -> Unheard | None:
    return next(iter(first_unheard(consumer, [subject])), None)


def event_of(columns: Sequence[Any]) -> Event:
    """The event of a row of the log; the columns in the order of UNHEARD."""
    names = ("id", "type", "subject_type", "subject_id", "sequence", "data", "actor", "traceparent", "created")
    values = dict(zip(names, columns, strict=True))
    values["data"] = msgspec.json.decode(values["data"])
    return Event(**values)


def _begin(consumer: Consumer, first: Unheard) -> tuple[Errand[Any, Any], Any] | None:
    """The effect and that it was heard, in the caller's transaction; or the errand that is to be run outside of it."""
    event = first.event
    enter(request_id=str(event.id), traceparent=event.traceparent)
    reaction = consumer.reactions[event.type]
    if isinstance(reaction, Errand):
        jobs = reaction.take([event])
        if event.id not in jobs:
            raise Busy
        if (job := jobs[event.id]) is not None:
            return reaction, job
        _mark_heard(consumer, first)
        return None
    _mark_heard(consumer, first)
    if isinstance(reaction, JointEffect):
        reaction.run([event])
    else:
        reaction(event)
    return None


def _finish(consumer: Consumer, first: Unheard, job: tuple[Errand[Any, Any], Any]) -> None:
    errand, taken = job
    answer = errand.ask(taken)
    with transaction.atomic(durable=True):
        _mark_heard(consumer, first)
        errand.settle([Answered(first.event, taken, answer)])


def _mark_heard(consumer: Consumer, first: Unheard) -> None:
    mark_heard(consumer, [first.event])
    if first.tries:
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM reactions_retry WHERE consumer = %s AND event_id = %s",
                [consumer.number, first.event.id],
            )


def mark_heard(consumer: Consumer, events: Iterable[Event]) -> None:
    """Note that the consumer has its effect of these events, in the transaction of the effect."""
    prepared_rows(MARK, {"consumer": consumer.number, "ids": [event.id for event in events]})


def tell_heard(consumer: Consumer, event: Event) -> None:
    """Count an event that was heard."""
    end_hearing(consumer, event)
    measures.heard.labels(consumer.name).inc()
    measures.delay_seconds.labels(consumer.name).observe((datetime.now(UTC) - event.created).total_seconds())


def is_away(error: Exception) -> bool:
    """Whether the database itself is away: then the event has done nothing wrong."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return connection.connection is None or bool(connection.connection.closed)
