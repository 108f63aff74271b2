"""The process that hears the streams: one consumer group per reaction, some hands each. It ends when it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

import redis
import structlog
from django.conf import settings
from django.db import close_old_connections

from souk.eventlog.operations import number_waiting_events
from souk.reactions import measures
from souk.reactions.consumers import CONSUMERS
from souk.reactions.hearing import Subject, catch_up, is_in_log
from souk.reactions.loop import run_threads, stop_on_signal
from souk.reactions.parking import park_entry
from souk.reactions.reaction import Consumer
from souk.reactions.search import SEARCH, note_what_is_heard, write_documents
from souk.reactions.stream import Entry, Group, NoGroup, Notice, reader_name, stream_client
from souk.reactions.together import hear_together, heard_before

log = structlog.get_logger()
# How long a hand waits for news before it looks whether it should stop.
WAIT_MILLISECONDS = 1000
# The same while an entry could not be handled because somebody else was at its subject.
SHORT_WAIT_MILLISECONDS = 20
CLAIM_EVERY_SECONDS = 2.0
# What comes within this is heard together: a batch costs its transactions once, and two events hardly more than one.
# The first after a quiet time waits for nothing.
GATHER_SECONDS = 0.03
# Positions are given in rounds, each of which costs a commit. Nobody waits for these: whoever reads the feed, listens
# or sends to webhooks numbers what waits.
NUMBER_EVERY_SECONDS = 0.25
# A commit reaches the streams a moment before it can be seen by others: looked for at once, then for so long with every
# round. A server that waits for its standby shows it only after that; what is never seen is foreign.
UNSEEN_TRIES, UNSEEN_PAUSE_SECONDS = 4, 0.05
UNSEEN_SECONDS = 10.0


def main() -> None:
    """Hear the streams until SIGTERM or SIGINT; what is at hand is finished first."""
    if not settings.REDIS_URL:
        raise SystemExit("No streams: start the embedded stack with `souk up`, or set SOUK_REDIS_URL.")
    stop = stop_on_signal()
    measures.begin_at_zero(consumer.name for consumer in CONSUMERS)
    log.info("worker.started", consumers=[consumer.name for consumer in CONSUMERS])
    run_worker(CONSUMERS, client=stream_client(settings.REDIS_URL), stop=stop)
    log.info("worker.stopped")


def run_worker(consumers: Sequence[Consumer], *, client: redis.Redis, stop: threading.Event) -> None:
    """Let every consumer hear with all its hands, until `stop` is set."""
    news = threading.Event()
    hands = [
        Hand(consumer, client=client, reader=reader_name(number), news=news, intake=intake)
        for consumer, intake in [(consumer, Intake(consumer.batch)) for consumer in consumers]
        for number in range(consumer.hands)
    ]
    works: dict[str, Callable[[], float]] = {hand.name: hand.work for hand in hands}
    works["numbering"] = partial(number_after, news)
    if SEARCH in consumers:
        works |= {"search documents": write_documents, "search freshness": note_what_is_heard}
    run_threads(works, stop=stop)
    for hand in hands:
        hand.leave()


def number_after(news: threading.Event) -> float:
    """Give the events their places in the feed when there is news, for all hands; returns when to look again."""
    if not news.wait(WAIT_MILLISECONDS / 1000):
        return 0
    news.clear()
    number_waiting_events()
    return NUMBER_EVERY_SECONDS


def subject_of(notice: Notice) -> Subject:
    """The subject that a notice tells about."""
    return Subject(notice.subject_type, notice.subject_id)


class Intake:
    """Where the hands of one consumer take in what is new, one at a time: several that waited would part it."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._lock = threading.Lock()
        self._next = 0.0

    def take(self, group: Group, *, wait_milliseconds: int) -> list[Entry]:
        """What is new for this reader; nothing when it did not come in time, or another hand waited for it."""
        if not self._lock.acquire(timeout=wait_milliseconds / 1000):
            return []
        try:
            time.sleep(max(self._next - time.monotonic(), 0))
            new = group.read_new(wait_milliseconds=wait_milliseconds)
            # Where a whole batch waited the next one does too.
            if 0 < len(new) < self._batch:
                self._next = time.monotonic() + GATHER_SECONDS
            return new
        finally:
            self._lock.release()


class Hand:
    """One reader of a consumer's group. It works in one thread."""

    def __init__(
        self, consumer: Consumer, *, client: redis.Redis, reader: str, news: threading.Event, intake: Intake
    ) -> None:
        self.name = f"{consumer.name} {reader}"
        self._consumer = consumer
        self._group = Group(client, consumer, reader)
        self._news = news
        self._intake = intake
        self._has_group = False
        self._has_left = True
        self._next_claim = 0.0
        # Since when an entry's event was looked for in vain.
        self._unseen: dict[str, float] = {}

    def leave(self) -> None:
        """Take the reader out of its group, if nothing is left that another one must claim from it."""
        self._group.leave()

    def work(self) -> float:
        """One round: what is left of earlier ones, what others left lying, then what is new; returns 0, do go on."""
        if not self._has_group:
            self._group.make()
            self._has_group = True
        try:
            left = self._handle_left()
            close_old_connections()
            new = self._intake.take(
                self._group, wait_milliseconds=SHORT_WAIT_MILLISECONDS if left else WAIT_MILLISECONDS
            )
        except NoGroup:
            self._has_group = False
            return 0
        if new:
            # Until all of it is acknowledged; whatever is raised meanwhile leaves it so.
            self._has_left = True
            self._has_left = bool(left) or not self._handle_new(new)
            self._news.set()
        return 0

    def _handle_left(self) -> int:
        """Handle what was delivered before, to this reader or to one that is gone; returns how much must still wait."""
        left = 0
        if self._has_left:
            left = sum(not self._handle(entry) for entry in self._group.own_pending())
            self._has_left = left > 0
        if time.monotonic() >= self._next_claim:
            claimed = sum(not self._handle(entry) for entry in self._group.claim_abandoned())
            self._has_left = self._has_left or claimed > 0
            left += claimed
            self._next_claim = time.monotonic() + CLAIM_EVERY_SECONDS
        return left

    def _handle_new(self, entries: Sequence[Entry]) -> bool:
        """Handle entries that nobody had before: together, then one by one what that left. False: some must wait."""
        done, rest = list[Entry](), list[Entry]()
        told: list[tuple[Entry, Notice]] = []
        for entry in entries:
            try:
                notice = entry.notice()
            except ValueError:
                rest.append(entry)
                continue
            if notice.type not in self._consumer.reactions:
                done.append(entry)
            elif self._consumer.hears_together(notice.type):
                told.append((entry, notice))
            else:
                rest.append(entry)
        heard = hear_together(self._consumer, {subject_of(notice) for _, notice in told})
        over = heard.ended | heard_before(self._consumer, {notice.id for _, notice in told} - heard.ended)
        for entry, notice in told:
            (done if notice.id in over else rest).append(entry)
        self._group.acknowledge(done)
        for subject in heard.unfinished:
            catch_up(self._consumer, subject, again=False)
        return sum(not self._handle(entry) for entry in rest) == 0

    def _handle(self, entry: Entry) -> bool:
        """Hear what an entry tells and acknowledge it; False when that must wait. Raises when a server is away."""
        # A trimmed entry has no fields left: the reconciler finds in the log what it told.
        if entry.fields:
            try:
                notice = entry.notice()
            except ValueError as poison:
                self._park(entry, str(poison))
            else:
                if notice.type in self._consumer.reactions and not self._hear(notice, entry):
                    return False
        self._group.acknowledge([entry])
        return True

    def _hear(self, notice: Notice, entry: Entry) -> bool:
        subject, is_there = subject_of(notice), False
        tries = 1 if entry.again else UNSEEN_TRIES
        while True:
            caught = catch_up(self._consumer, subject, again=entry.again)
            if caught.busy:
                return False
            # Seen before that hearing, not after it: what can be seen only since then was not heard.
            if is_there or notice.id in caught.ended:
                self._unseen.pop(entry.id, None)
                return True
            is_there = is_in_log(notice.id)
            if not is_there:
                tries -= 1
                if not tries:
                    return self._let_go(entry)
                time.sleep(UNSEEN_PAUSE_SECONDS)

    def _let_go(self, entry: Entry) -> bool:
        """Park an entry whose event could not be seen for long enough; until then it must wait."""
        since = self._unseen.setdefault(entry.id, time.monotonic())
        if time.monotonic() - since < UNSEEN_SECONDS:
            return False
        del self._unseen[entry.id]
        self._park(entry, "The log has no such event.")
        return True

    def _park(self, entry: Entry, error: str) -> None:
        park_entry(self._consumer, stream=entry.stream, entry_id=entry.id, fields=entry.shown(), error=error)
