"""Taking what is due, and writing down what came of it: tries again for three days, then an end with a reason."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction

from souk.eventlog.feed import COLUMNS, Told, seen_by, told
from souk.eventlog.operations import database_now
from souk.eventlog.serializers import event_out
from souk.kit.sealing import Unreadable, unseal
from souk.kit.tracing import traced
from souk.webhooks.gateway import Message, Sent
from souk.webhooks.machine import ENABLED
from souk.webhooks.models import DELIVERED, FAILED, PENDING, Delivery, Webhook
from souk.webhooks.operations.registering import PURPOSE, disable_failing_webhook

# The pause after the first, second, ... try: 72 hours in all.
PAUSES = [
    timedelta(seconds=seconds)
    for seconds in (5, 60, 300, 1800, 7200, 5 * 3600, 10 * 3600, 14 * 3600, 17 * 3600, 23 * 3600 + 1435)
]
# So that the tries of one outage do not come back as one crowd.
JITTER = 0.2
GIVE_UP = timedelta(days=3)
GONE = 410
# Longer than any try may take; then whoever began it is dead.
LEASE_SECONDS = 60
# At the same time for one webhook: many while it answers, one while it fails.
MOST_AT_ONCE, MOST_WHILE_FAILING = 8, 1
UNREADABLE = "Its secret cannot be read any more: rotate it."
NO_EVENT = "The event is no longer kept."

# The webhooks that have something pending are found by hopping through the index, so that one with a hundred thousand
# entries costs no more than one with a single one; then each gives its first.
TAKE = """
WITH RECURSIVE hop(id) AS (
    (SELECT webhook_id FROM webhooks_delivery WHERE outcome = 'pending' ORDER BY webhook_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.webhook_id FROM webhooks_delivery d
             WHERE d.outcome = 'pending' AND d.webhook_id > hop.id ORDER BY d.webhook_id LIMIT 1)
      FROM hop WHERE hop.id IS NOT NULL
), due AS (
    SELECT d.id
      FROM hop
      JOIN webhooks_webhook w ON w.id = hop.id AND w.state = 'ENABLED' AND w.deleted IS NULL
      JOIN accounts_user u ON u.id = w.owner_id AND u.is_active AND u.deleted IS NULL
     CROSS JOIN LATERAL (
        SELECT id, next_attempt_at FROM webhooks_delivery
         WHERE webhook_id = w.id AND outcome = 'pending' AND next_attempt_at <= statement_timestamp()
         ORDER BY next_attempt_at
         LIMIT greatest(0, CASE WHEN w.failing_since IS NULL THEN %(most)s ELSE %(most_while_failing)s END
                           - coalesce((%(busy)s::jsonb ->> w.id::text)::integer, 0))
           FOR NO KEY UPDATE SKIP LOCKED
     ) AS d
     ORDER BY d.next_attempt_at LIMIT %(room)s
)
UPDATE webhooks_delivery d
   SET attempt = d.attempt + 1, next_attempt_at = clock_timestamp() + %(lease)s * interval '1 second'
  FROM due, webhooks_webhook w
 WHERE d.id = due.id AND w.id = d.webhook_id
RETURNING d.id, d.webhook_id, d.event_id, d.attempt, d.next_attempt_at, d.body, w.owner_id, w.url, w.secret,
          CASE WHEN w.former_until > clock_timestamp() THEN w.former_secret END
"""
EVENTS = f"SELECT {COLUMNS} FROM eventlog_event e WHERE e.id = ANY(%s)"  # noqa: S608  # the feed's own columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A try that was begun, the `attempt`-th of its delivery. `problem` says why there is no message to send.

    Its lease ends at `until`, which no other try has: after a replay the same number comes again.
    """

    delivery_id: UUID
    webhook_id: UUID
    attempt: int
    until: datetime
    message: Message | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Taken:
    id: UUID
    webhook_id: UUID
    event_id: UUID
    attempt: int
    until: datetime
    body: str | None
    owner_id: UUID
    url: str
    secret: bytes
    former_secret: bytes | None


def take_due_deliveries(*, room: int, busy: Mapping[UUID, int]) -> list[Due]:
    """Begin at most `room` tries that are due; `busy` says how many of each webhook the caller is still at.

    Each one is the caller's for a minute: settle it within that, or it is begun again. Those of one webhook begin in
    the order in which they became due.
    """
    asked: dict[str, Any] = {
        "room": room,
        "busy": msgspec.json.encode({str(webhook_id): count for webhook_id, count in busy.items()}).decode(),
        "most": MOST_AT_ONCE,
        "most_while_failing": MOST_WHILE_FAILING,
        "lease": LEASE_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(TAKE, asked)
        taken = [_Taken(*row) for row in cursor.fetchall()]
    bodies = _bodies(taken)
    return [_due(one, bodies.get((one.owner_id, one.event_id))) for one in taken]


@traced
@transaction.atomic(durable=True)
def settle_delivery(due: Due, sent: Sent) -> str:
    """Write down what came of a try; returns the outcome of the delivery so far.

    One that was settled or ended meanwhile stays as it is. A receiver that says 410, or that has not taken anything for
    three days, is switched off, unless its owner gave another address meanwhile: then that one is tried.
    """
    webhook: Webhook = Webhook.all_objects.select_for_update(no_key=True).get(pk=due.webhook_id)
    now = database_now()
    row = Delivery.objects.filter(pk=due.delivery_id, next_attempt_at=due.until, outcome=PENDING)
    result = {"status_code": sent.status_code, "duration_ms": sent.duration_ms, "error": sent.error}
    if sent.error is None:
        row.update(outcome=DELIVERED, next_attempt_at=None, **result)
        _note_failing(webhook, None)
        return DELIVERED
    if due.message is not None and due.message.url != webhook.url:
        # What the former address says is no word about the present one, which is asked next.
        row.update(next_attempt_at=now, **result)
        return PENDING
    following = _next_try(due.attempt, sent, now, failing_since=webhook.failing_since or now)
    ended = following is None or sent.status_code == GONE
    row.update(outcome=FAILED if ended else PENDING, next_attempt_at=None if ended else following, **result)
    _note_failing(webhook, webhook.failing_since or now)
    if webhook.state == ENABLED and webhook.deleted is None:
        if sent.status_code == GONE:
            disable_failing_webhook(webhook=webhook, reason="gone")
        elif webhook.failing_since is not None and now - webhook.failing_since >= GIVE_UP:
            disable_failing_webhook(webhook=webhook, reason="failing")
    return FAILED if ended else PENDING


def _next_try(attempt: int, sent: Sent, now: datetime, *, failing_since: datetime) -> datetime | None:
    """When to try again: after the pause of the plan, or later where the receiver asked for it. None: never."""
    if attempt > len(PAUSES):
        return None
    pause = PAUSES[attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # spreads the tries, guards nothing
    following = now + max(pause, timedelta(seconds=sent.retry_after or 0))
    # The last try sees the whole time of grace over, however short the pauses were drawn: so it also decides.
    return max(following, failing_since + GIVE_UP) if attempt == len(PAUSES) else following


def _note_failing(webhook: Webhook, since: datetime | None) -> None:
    # Not a change that its owner made: `updated` stays.
    if webhook.failing_since != since:
        Webhook.all_objects.filter(pk=webhook.pk).update(failing_since=since)
        webhook.failing_since = since


def _bodies(taken: Sequence[_Taken]) -> dict[tuple[UUID, UUID], tuple[bytes, str | None]]:
    """For each owner and event the body, as that owner may see it, and the trace it belongs to."""
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, [[one.event_id for one in taken if one.body is None]])
        events: dict[UUID, Told] = {row[0]: told(0, row) for row in cursor.fetchall()}
    found = {}
    for owner_id, group in groupby(sorted(taken, key=lambda one: one.owner_id), key=lambda one: one.owner_id):
        known = {one.event_id: events[one.event_id] for one in group if one.event_id in events}
        for event in seen_by(owner_id, known.values()):
            found[owner_id, event.id] = (msgspec.json.encode(event_out(event)), event.traceparent)
    return found


def _due(one: _Taken, found: tuple[bytes, str | None] | None) -> Due:
    body, traceparent = found or (one.body.encode() if one.body is not None else None, None)
    problem, secrets = None, []
    try:
        secrets = [unseal(sealed, purpose=PURPOSE) for sealed in (one.secret, one.former_secret) if sealed is not None]
    except Unreadable:
        problem = UNREADABLE
    if body is None:
        problem = NO_EVENT
    message = None
    if body is not None and problem is None:
        message = Message(id=str(one.event_id), url=one.url, body=body, secrets=secrets, traceparent=traceparent)
    return Due(
        delivery_id=one.id, webhook_id=one.webhook_id, attempt=one.attempt, until=one.until, message=message,
        problem=problem,
    )  # fmt: skip
