"""Hearing many subjects at once: one transaction for what each of them has to tell first.

It comes to the same as hearing one after the other, and costs a fraction: per batch one lock statement, one look into
the log, one row per event in `reactions_processed` and one commit. Whatever is out of the ordinary is left to
`hearing.catch_up`, which takes one subject at a time: a subject that somebody else is at, an event that failed before,
and all events of a batch that could not be heard together, so that the one that is to blame is found.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction

from souk.kit.context import enter
from souk.kit.postgresql.prepared import prepared_rows
from souk.reactions.hearing import LOCKS, Subject, first_unheard, is_away, mark_heard, tell_heard
from souk.reactions.parking import note_failure
from souk.reactions.reaction import Answered, Consumer, Errand, Event, JointEffect
from souk.reactions.tracing import begin_hearing, forget_hearing

log = structlog.get_logger()
# Questions of one process under way at a time: each is a thread, and waits for somebody else's server.
QUESTIONS_AT_ONCE = 12
ASKERS_OF_A_HAND = 4
# Answers that come within this are written down together.
GATHER_SECONDS = 0.02

LOCK = """
SELECT s.id FROM unnest(%(ids)s::uuid[]) AS s (id) WHERE pg_try_advisory_xact_lock(%(lock)s, hashtext(s.id::text))
"""
HEARD = """
SELECT event_id FROM reactions_processed WHERE consumer = %(consumer)s AND event_id = ANY(%(ids)s::uuid[])
"""
_askers = ThreadPoolExecutor(QUESTIONS_AT_ONCE, thread_name_prefix="question")


@dataclass(slots=True)
class HeardTogether:
    """The ids of the events that ended, and the subjects that have more to tell."""

    ended: set[UUID] = field(default_factory=set)
    unfinished: set[Subject] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Question:
    errand: Errand[Any, Any]
    event: Event
    job: Any


@dataclass(frozen=True, slots=True)
class _Came:
    """What came of a question: an answer, or an error."""

    question: _Question
    answer: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class _Begun:
    """What one transaction began: events that are heard, and questions that are to be put."""

    heard: list[Event] = field(default_factory=list)
    questions: list[_Question] = field(default_factory=list)
    unfinished: set[Subject] = field(default_factory=set)


def hear_together(consumer: Consumer, subjects: Iterable[Subject]) -> HeardTogether:
    """Let the consumer hear the first unheard event of each of these subjects, where that goes without trouble.

    Raises only when the database is away.
    """
    told, asked = HeardTogether(), list(subjects)
    if not asked:
        return told
    try:
        begun = _begin(consumer, asked)
        told.unfinished = begun.unfinished
        _end(consumer, told, begun.heard)
        _ask(consumer, told, begun.questions)
    except Exception as error:
        if is_away(error):
            raise
        # Who is to blame shows when each is heard alone, and is told then.
        log.info("events.heard_singly", consumer=consumer.name, error=str(error))
    finally:
        enter()
    return told


def heard_before(consumer: Consumer, event_ids: Iterable[UUID]) -> set[UUID]:
    """Those of these events that the consumer has heard."""
    asked = list(event_ids)
    if not asked:
        return set()
    return {found for (found,) in prepared_rows(HEARD, {"consumer": consumer.number, "ids": asked})}


def _begin(consumer: Consumer, subjects: Sequence[Subject]) -> _Begun:
    begun = _Begun()
    with transaction.atomic(durable=True):
        first = _first_unheard(consumer, subjects, begun)
        first.sort(key=lambda event: (event.type, event.subject_id))
        for event_type, group in groupby(first, key=lambda event: event.type):
            _begin_type(consumer, event_type, list(group), begun)
    return begun


def _first_unheard(consumer: Consumer, subjects: Sequence[Subject], begun: _Begun) -> list[Event]:
    """What each subject tells next, under the lock of the subject; without those that failed before."""
    ids = [subject.id for subject in subjects]
    locked = {key for (key,) in prepared_rows(LOCK, {"ids": ids, "lock": LOCKS + consumer.number})}
    # A statement of its own: it sees what the locks' last holders committed.
    first = first_unheard(consumer, [subject for subject in subjects if subject.id in locked])
    begun.unfinished = {Subject(one.event.subject_type, one.event.subject_id) for one in first if not one.is_last}
    return [begin_hearing(consumer, one.event) for one in first if not one.failed]


def _begin_type(consumer: Consumer, event_type: str, events: list[Event], begun: _Begun) -> None:
    reaction = consumer.reactions[event_type]
    _enter_for(events)
    if isinstance(reaction, Errand):
        jobs = reaction.take(events)
        for event in events:
            if event.id not in jobs:
                forget_hearing(consumer, event)
        over = [event for event in events if event.id in jobs and jobs[event.id] is None]
        begun.questions += [
            _Question(reaction, event, jobs[event.id]) for event in events if jobs.get(event.id) is not None
        ]
        begun.heard += over
        if over:
            mark_heard(consumer, over)
        return
    if isinstance(reaction, JointEffect):
        mark_heard(consumer, events)
        reaction.run(events)
        begun.heard += events


def _enter_for(events: Sequence[Event]) -> None:
    """What is done now is done for this event; for several at once it is done for none of them in particular."""
    enter(request_id=str(events[0].id), traceparent=events[0].traceparent) if len(events) == 1 else enter()


def _ask(consumer: Consumer, told: HeardTogether, questions: Sequence[_Question]) -> None:
    """Put the questions, some at a time, and write down the answers as they come: nobody waits for the slowest."""
    waiting, came = deque(questions), SimpleQueue[_Came]()
    for _ in range(min(len(questions), ASKERS_OF_A_HAND)):
        _askers.submit(_put, waiting, came)
    left = len(questions)
    while left:
        together = [came.get()]
        until = time.monotonic() + GATHER_SECONDS
        while len(together) < left and (patience := until - time.monotonic()) > 0:
            with suppress(Empty):
                together.append(came.get(timeout=patience))
        left -= len(together)
        for one in together:
            if one.error is not None:
                _fail(consumer, told, one.question.event, one.error)
        answered = [one for one in together if one.error is None]
        for errand in {one.question.errand: None for one in answered}:
            answers = [
                Answered(one.question.event, one.question.job, one.answer)
                for one in answered
                if one.question.errand is errand
            ]
            _settle(consumer, told, errand, answers)


def _put(waiting: deque[_Question], came: SimpleQueue[_Came]) -> None:
    """Put questions until none waits. Several threads do this with the same ones: a slow one keeps one of them."""
    try:
        while waiting:
            try:
                question = waiting.popleft()
            except IndexError:
                break
            enter(request_id=str(question.event.id), traceparent=question.event.traceparent)
            try:
                came.put(_Came(question, answer=question.errand.ask(question.job)))
            except BaseException as error:  # noqa: BLE001  # raised again, or counted, by the hand that waits
                came.put(_Came(question, error=error))
    finally:
        enter()
        connection.close()


def _settle(
    consumer: Consumer, told: HeardTogether, errand: Errand[Any, Any], answered: Sequence[Answered[Any, Any]]
) -> None:
    _enter_for([one.event for one in answered])
    try:
        with transaction.atomic(durable=True):
            mark_heard(consumer, [one.event for one in answered])
            errand.settle(answered)
    except Exception as error:
        if is_away(error):
            raise
        if len(answered) == 1:
            _fail(consumer, told, answered[0].event, error)
            return
        for one in answered:
            _settle(consumer, told, errand, [one])
        return
    _end(consumer, told, [one.event for one in answered])


def _fail(consumer: Consumer, told: HeardTogether, event: Event, error: BaseException) -> None:
    if not isinstance(error, Exception) or is_away(error):
        raise error
    if note_failure(consumer, event, error, counted=False):
        told.ended.add(event.id)


def _end(consumer: Consumer, told: HeardTogether, events: Iterable[Event]) -> None:
    for event in events:
        tell_heard(consumer, event)
        told.ended.add(event.id)
