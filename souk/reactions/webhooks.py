"""Sending what the webhooks are owed: rows by this thread, the waiting for receivers by an event loop beside it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter as Tally
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import cached_property
from uuid import UUID

import httpx
import structlog
from django.conf import settings
from django.db import Error

from souk.kit import tracing
from souk.kit.counting import Counter
from souk.webhooks.gateway import Message, Sent, open_client, send
from souk.webhooks.operations import Due, queue_deliveries, settle_delivery, take_due_deliveries

log = structlog.get_logger()
# Tries under way in one process. Each is a socket and a few kilobytes.
MOST_UNDER_WAY = 256
# How long one round goes on while there is something to send; the clock looks between rounds whether it should stop.
ROUND_SECONDS = 2.0
# How often a round looks for what has become due while others are under way.
LOOK_SECONDS = 0.1

deliveries = Counter("souk_webhook_tries", "Tries to send an event to a webhook, by what came of them.", ["outcome"])
for _outcome in ("delivered", "retried", "failed", "unsettled"):
    deliveries.labels(_outcome)  # so that the first one is an increase, too


class Sender:
    """Sends what is due, many at once; whoever is slow takes a place, and never somebody else's turn."""

    def __init__(self) -> None:
        self._under_way: dict[Future[Sent], Due] = {}
        self._spans: dict[UUID, tracing.Span] = {}

    def work(self) -> None:
        """Send until nothing is due and nothing under way, for a few seconds at most. Call it again and again."""
        until, next_look = time.monotonic() + ROUND_SECONDS, 0.0
        while True:
            if time.monotonic() >= next_look:
                queue_deliveries()
                next_look = time.monotonic() + LOOK_SECONDS
            self._begin()
            if not self._under_way:
                break
            wait(self._under_way, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            self._settle_ended()
            if time.monotonic() >= until:
                break

    def _begin(self) -> None:
        room = MOST_UNDER_WAY - len(self._under_way)
        if room <= 0:
            return
        busy = Tally(due.webhook_id for due in self._under_way.values())
        for due in take_due_deliveries(room=room, busy=busy):
            if due.message is None:
                self._settle(due, Sent(status_code=None, duration_ms=0, error=due.problem))
                continue
            sending = send(self._client, self._traced(due, due.message), allow_loopback=settings.WEBHOOK_ALLOW_LOOPBACK)
            self._under_way[asyncio.run_coroutine_threadsafe(sending, self._loop)] = due

    def _traced(self, due: Due, message: Message) -> Message:
        recorder = tracing.recorder()
        if recorder is None:
            return message
        about: tracing.Attributes = {
            "souk.webhook.id": str(due.webhook_id),
            "souk.event.id": message.id,
            "souk.attempt": due.attempt,
        }
        span = recorder.begin("send webhook", kind="client", parent=message.traceparent, about=about)
        self._spans[due.delivery_id] = span
        return replace(message, traceparent=span.traceparent)

    def _settle_ended(self) -> None:
        for future in [one for one in self._under_way if one.done()]:
            due = self._under_way.pop(future)
            failed = future.exception()
            if failed is not None:
                log.error("webhook.sending_failed", webhook_id=str(due.webhook_id), exc_info=failed)
            self._settle(
                due, future.result() if failed is None else Sent(status_code=None, duration_ms=0, error="Not sent.")
            )

    def _settle(self, due: Due, sent: Sent) -> None:
        if span := self._spans.pop(due.delivery_id, None):
            failed = None if sent.error is None else str(sent.status_code or "not sent")
            span.end(error=failed, about={"http.response.status_code": sent.status_code or 0})
        try:
            outcome = settle_delivery(due, sent)
        except Error as error:
            # It was sent, and will be sent once more when its minute is over: receivers know it by its id.
            log.warning("webhook.not_settled", delivery_id=str(due.delivery_id), error=str(error))
            outcome = "unsettled"
        deliveries.labels("delivered" if sent.error is None else outcome if outcome != "pending" else "retried").inc()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="webhooks", daemon=True).start()
        return loop

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        return open_client()


_sender = Sender()


def send_webhooks() -> None:
    """Look through the log for what webhooks are owed, and send what is due. A duty of the clock."""
    _sender.work()
