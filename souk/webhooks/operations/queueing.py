"""What becomes a delivery: every event of an owner by its position in the feed, a test, what is asked for again.

The log is looked through in order of position, many events in one statement, and how far that went is kept in the same
transaction. So no event is missed or queued twice, and nobody has to hear each one. `docs/decisions/0024-*` says why.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count

from souk.accounts.models import User
from souk.eventlog.operations import database_now, number_events
from souk.eventlog.retention import gone_before
from souk.kit.entity import floor_of, new_id
from souk.kit.machine import IllegalTransition
from souk.kit.problem import Refused, ValidationFailed
from souk.kit.tracing import traced
from souk.webhooks.machine import ENABLED
from souk.webhooks.models import DELIVERED, FAILED, PENDING, Delivery, Webhook
from souk.webhooks.operations.registering import lock_webhook

AT_ONCE = 2000
MOST_REPLAYED = 10_000
RECENT = timedelta(hours=1)
PURGED_AT_ONCE = 1000

LOCK_PROGRESS = "SELECT position FROM webhooks_progress WHERE id = 1 FOR NO KEY UPDATE SKIP LOCKED"
QUEUE = """
WITH looked AS (
    SELECT position FROM eventlog_event WHERE position > %(position)s ORDER BY position LIMIT %(at_once)s
), upto AS (
    SELECT coalesce(max(position), %(position)s) AS position, count(*) AS events FROM looked
), queued AS (
    INSERT INTO webhooks_delivery (webhook_id, event_id, next_attempt_at)
    SELECT w.id, e.id, clock_timestamp()
      FROM eventlog_event e
      JOIN webhooks_webhook w ON w.owner_id = ANY(e.audience)
      JOIN accounts_user u ON u.id = w.owner_id
     WHERE e.position > %(position)s AND e.position <= (SELECT position FROM upto)
       AND w.state = 'ENABLED' AND w.deleted IS NULL AND e.position > w.hears_after
       AND u.is_active AND u.deleted IS NULL
       AND (cardinality(w.types) = 0 OR e.type = ANY(w.types))
     ORDER BY e.position
    ON CONFLICT (webhook_id, event_id) DO NOTHING
    RETURNING 1
), moved AS (
    UPDATE webhooks_progress SET position = (SELECT position FROM upto) WHERE id = 1
)
SELECT (SELECT count(*) FROM queued), (SELECT events FROM upto)
"""
WANTED_AGAIN = """
SELECT e.id FROM eventlog_audience a JOIN eventlog_event e ON e.id = a.event_id
 WHERE a.user_id = %(owner_id)s AND e.created >= %(start)s AND e.created < %(end)s
   AND (cardinality(%(types)s::text[]) = 0 OR a.type = ANY(%(types)s))
 ORDER BY a.position LIMIT %(limit)s
"""
QUEUE_AGAIN = f"""
INSERT INTO webhooks_delivery AS d (webhook_id, event_id, next_attempt_at)
SELECT %(webhook_id)s, id, clock_timestamp() FROM ({WANTED_AGAIN}) AS wanted
ON CONFLICT (webhook_id, event_id) DO UPDATE
   SET outcome = 'pending', attempt = 0, status_code = NULL, duration_ms = NULL, error = NULL,
       next_attempt_at = excluded.next_attempt_at
 WHERE d.outcome <> 'pending'
"""  # noqa: S608  # put together from the statement above
BEHIND = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - e.created)), 0)
  FROM webhooks_progress p CROSS JOIN LATERAL (
    SELECT created FROM eventlog_event WHERE position > p.position ORDER BY position LIMIT 1
  ) AS e
"""
# What is still tried, or will be once the clock runs again; not what waits at a webhook whose owner is locked or gone.
IS_TRIED = """d.outcome = 'pending' AND EXISTS (
    SELECT 1 FROM webhooks_webhook w JOIN accounts_user u ON u.id = w.owner_id
     WHERE w.id = d.webhook_id AND w.state = 'ENABLED' AND w.deleted IS NULL AND u.is_active AND u.deleted IS NULL
)"""
PURGE = f"""
DELETE FROM webhooks_delivery WHERE id IN (
    SELECT d.id FROM webhooks_delivery d WHERE d.id < %s AND NOT ({IS_TRIED})
     ORDER BY d.id LIMIT %s FOR UPDATE SKIP LOCKED
)
"""  # noqa: S608  # put together from the condition above
PASSED = f"""
SELECT least(p.position, (
    SELECT min(e.position) - 1 FROM webhooks_delivery d JOIN eventlog_event e ON e.id = d.event_id WHERE {IS_TRIED}
)) FROM webhooks_progress p
"""  # noqa: S608  # the same


class TooMuchToReplay(ValidationFailed):
    """The range holds more events than one replay sends. 400."""

    def __init__(self) -> None:
        detail = f"The range holds more than {MOST_REPLAYED} events: ask for a shorter one."
        super().__init__(errors=[{"pointer": "/to", "code": "too_many_events", "detail": detail}])


class ReplayExpired(Refused):
    """Some events of the range are no longer kept. 410; `oldest` in the error is the moment to ask from instead."""

    status, code, title = 410, "events_expired", "These events are no longer kept"

    def __init__(self, oldest: datetime) -> None:
        since = oldest.astimezone(UTC).isoformat().replace("+00:00", "Z")
        detail = f"Events are kept since {since}: ask for those, or read the present state instead."
        super().__init__(errors=[{"pointer": "/from", "code": self.code, "detail": detail, "oldest": since}])


def queue_deliveries() -> int:
    """Look through the log from where that ended; returns how many deliveries were added. A duty of the clock.

    Of several at once one looks, and the others return at once. Numbers waiting events first, so it must not run inside
    a transaction.
    """
    if not _has_begun():
        return 0
    number_events()
    added = 0
    while True:
        found, moved = _queue_next()
        added += found
        if moved < AT_ONCE:
            return added


@traced
@transaction.atomic(savepoint=False)
def queue_test(*, owner: User, webhook_id: UUID) -> Delivery:
    """Send a sample, which is no event of the log: its type is `webhook.test`. Raises NotFound, IllegalTransition."""
    webhook = _lock_enabled(owner, webhook_id)
    now = database_now()
    event_id = new_id()
    body = {
        "id": str(event_id),
        "type": "webhook.test",
        "subject": {"type": Webhook.subject_type, "id": str(webhook.pk)},
        "sequence": 0,
        "created": now.isoformat().replace("+00:00", "Z"),
        "actor": {"type": "user", "id": str(owner.pk)},
        "data": {},
        "traceparent": None,
    }
    return Delivery.objects.create(
        id=new_id(), webhook=webhook, event_id=event_id, body=body, created=now, next_attempt_at=now
    )


@traced
@transaction.atomic(savepoint=False)
def replay_events(*, owner: User, webhook_id: UUID, start: datetime, end: datetime) -> int:
    """Send again every event of the owner made in [start, end) that the webhook hears; returns how many are queued.

    What is on its way already is not queued twice. Raises NotFound, IllegalTransition, ReplayExpired, TooMuchToReplay.
    """
    webhook = _lock_enabled(owner, webhook_id)
    oldest = gone_before()
    if oldest is not None and start < oldest:
        raise ReplayExpired(oldest)
    asked: dict[str, Any] = {
        "webhook_id": webhook.pk,
        "owner_id": owner.pk,
        "start": start,
        "end": end,
        "types": webhook.types,
        "limit": MOST_REPLAYED + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({WANTED_AGAIN}) AS wanted", asked)  # noqa: S608  # our own statement
        if cursor.fetchone()[0] > MOST_REPLAYED:
            raise TooMuchToReplay
        cursor.execute(QUEUE_AGAIN, asked)
        return int(cursor.rowcount)


def seconds_behind() -> float:
    """The age of the oldest numbered event that was not looked at for webhooks; 0 when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(BEHIND)
        (seconds,) = cursor.fetchone()
    return float(seconds)


def recent_outcomes() -> dict[str, int]:
    """How many deliveries of the last hour stand how, for every outcome there is."""
    rows = (
        Delivery.objects.filter(pk__gte=floor_of(database_now() - RECENT)).values_list("outcome").annotate(Count("pk"))
    )
    return {**dict.fromkeys((PENDING, DELIVERED, FAILED), 0), **dict(rows)}


def passed_position() -> int | None:
    """The position up to which no webhook needs the log any more; None before there is the first webhook.

    Up to there it was looked through, and what came of it was taken or given up.
    """
    with connection.cursor() as cursor:
        cursor.execute(PASSED)
        row = cursor.fetchone()
        return row[0] if row else None


def purge_deliveries(*, before: datetime) -> int:
    """Delete the deliveries made before this moment, but for those still tried, in batches; returns how many."""
    floor = floor_of(before)
    purged = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(PURGE, [floor, PURGED_AT_ONCE])
            count = int(cursor.rowcount)
        purged += count
        if count < PURGED_AT_ONCE:
            return purged


def _has_begun() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM webhooks_progress)")
        return bool(cursor.fetchone()[0])


@transaction.atomic(durable=True)
def _queue_next() -> tuple[int, int]:
    """Deliveries added, and events passed."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_PROGRESS)
        row = cursor.fetchone()
        if row is None:
            return 0, 0
        # A statement of its own: it sees what was committed before the lock was had.
        cursor.execute(QUEUE, {"position": row[0], "at_once": AT_ONCE})
        added, passed = cursor.fetchone()
        return int(added), int(passed)


def _lock_enabled(owner: User, webhook_id: UUID) -> Webhook:
    webhook = lock_webhook(owner=owner, webhook_id=webhook_id)
    if webhook.state != ENABLED:
        raise IllegalTransition("The webhook is disabled: enable it first.")
    return webhook
