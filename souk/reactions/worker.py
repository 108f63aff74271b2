"""The process that hears the streams: one consumer group per reaction, some hands each. It ends when it is told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import redis
import structlog
from django.conf import settings
from django.db import close_old_connections

from souk.eventlog.operations import number_events
from souk.reactions.consumers import CONSUMERS
from souk.reactions.hearing import Subject, catch_up, is_in_log
from souk.reactions.loop import run_threads, stop_on_signal
from souk.reactions.parking import park_entry
from souk.reactions.reaction import Consumer
from souk.reactions.stream import Entry, Group, NoGroup, Notice, reader_name, stream_client

log = structlog.get_logger()
# How long a hand waits for news before it looks whether it should stop.
WAIT_MILLISECONDS = 1000
# The same while an entry could not be handled because somebody else was at its subject.
SHORT_WAIT_MILLISECONDS = 20
CLAIM_EVERY_SECONDS = 2.0
# A commit reaches the streams a moment before it can be seen by others.
UNSEEN_TRIES, UNSEEN_PAUSE_SECONDS = 4, 0.05


def main() -> None:
    """Hear the streams until SIGTERM or SIGINT; what is at hand is finished first."""
    if not settings.REDIS_URL:
        raise SystemExit("No streams: start the embedded stack with `souk up`, or set SOUK_REDIS_URL.")
    stop = stop_on_signal()
    log.info("worker.started", consumers=[consumer.name for consumer in CONSUMERS])
    run_worker(CONSUMERS, client=stream_client(settings.REDIS_URL), stop=stop)
    log.info("worker.stopped")


def run_worker(consumers: Sequence[Consumer], *, client: redis.Redis, stop: threading.Event) -> None:
    """Let every consumer hear with all its hands, until `stop` is set."""
    hands = [
        Hand(consumer, client=client, reader=reader_name(number))
        for consumer in consumers
        for number in range(consumer.hands)
    ]
    run_threads({hand.name: hand.work for hand in hands}, stop=stop)
    for hand in hands:
        hand.leave()


class Hand:
    """One reader of a consumer's group. It works in one thread."""

    def __init__(self, consumer: Consumer, *, client: redis.Redis, reader: str) -> None:
        self.name = f"{consumer.name} {reader}"
        self._consumer = consumer
        self._group = Group(client, consumer, reader)
        self._has_group = False
        self._next_claim = 0.0

    def leave(self) -> None:
        """Take the reader out of its group, if nothing is left that another one must claim from it."""
        self._group.leave()

    def work(self) -> float:
        """One round: what is left of the last one, what others left lying, then what is new; returns 0, do go on."""
        if not self._has_group:
            self._group.make()
            self._has_group = True
        try:
            left = sum(not self._handle(entry) for entry in self._group.own_pending())
            if time.monotonic() >= self._next_claim:
                left += sum(not self._handle(entry) for entry in self._group.claim_abandoned())
                self._next_claim = time.monotonic() + CLAIM_EVERY_SECONDS
            close_old_connections()
            new = self._group.read_new(wait_milliseconds=SHORT_WAIT_MILLISECONDS if left else WAIT_MILLISECONDS)
        except NoGroup:
            self._has_group = False
            return 0
        for entry in new:
            self._handle(entry)
        if new:
            number_events()
        return 0

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
        self._group.acknowledge(entry)
        return True

    def _hear(self, notice: Notice, entry: Entry) -> bool:
        subject = Subject(notice.subject_type, notice.subject_id)
        for _ in range(UNSEEN_TRIES):
            caught = catch_up(self._consumer, subject, again=entry.again)
            if caught.busy:
                return False
            if notice.id in caught.ended or is_in_log(notice.id):
                return True
            time.sleep(UNSEEN_PAUSE_SECONDS)
        self._park(entry, "The log has no such event.")
        return True

    def _park(self, entry: Entry, error: str) -> None:
        park_entry(self._consumer, stream=entry.stream, entry_id=entry.id, fields=entry.shown(), error=error)
