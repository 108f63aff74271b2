"""How the event path stands: what the database, its replication slot and the streams say of it, read when asked.

The consumers are known here by the rows that the clock keeps of them, so every process can tell of every other one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import redis
from django.conf import settings
from django.db import connection

from souk.kit.parsing import Shape
from souk.webhooks.operations import recent_outcomes, seconds_behind

STREAM = "souk.events."
# A reader that waits for news asks every second or sooner.
ALIVE_MILLISECONDS = 15_000
LOOKED_AT = 50_000
CONSUMERS = """
SELECT p.name, p.types, p.reconciled, p.reconciled_at, extract(epoch FROM clock_timestamp() - p.at)::float8,
       coalesce(extract(epoch FROM clock_timestamp() - e.created), 0)::float8,
       (SELECT count(*) FROM reactions_retry r WHERE r.consumer = p.consumer),
       (SELECT count(*) FROM reactions_deadletter d WHERE d.consumer = p.name)
  FROM reactions_progress p
 CROSS JOIN LATERAL first_unheard(p.consumer, %s) AS u LEFT JOIN eventlog_event e ON e.id = u.event_id
 ORDER BY p.consumer
"""
SLOT = """
SELECT active, coalesce(wal_status, 'lost'), pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint,
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, safe_wal_size
  FROM pg_replication_slots WHERE slot_name = %s AND database = current_database()
"""
LETTERS = "SELECT count(*) FROM reactions_deadletter"


class GroupLag(Shape, frozen=True, kw_only=True):
    """A consumer's group on its streams. `seconds` is the age of the oldest entry that nobody was given yet.

    `entries` counts those (None where the server cannot tell), `pending` those that were given and not acknowledged;
    `readers` are its readers of the last 15 seconds.
    """

    seconds: float
    entries: int | None
    pending: int
    readers: int


class ConsumerLag(Shape, frozen=True, kw_only=True):
    """One consumer. `oldest_unprocessed_seconds` is the age of the oldest event that it has not heard; 0: none."""

    name: str
    oldest_unprocessed_seconds: float
    retrying: int
    dead_letters: int
    reconciled: int
    reconciled_at: datetime | None
    group: GroupLag | None


class SlotLag(Shape, frozen=True, kw_only=True):
    """The replication slot. `lag_bytes` of the database's log are not read yet, `kept_bytes` are kept for it.

    `safe_bytes` more can be written before the slot is given up; None: without a bound.
    """

    active: bool
    status: str
    lag_bytes: int
    kept_bytes: int
    safe_bytes: int | None


class EventPath(Shape, frozen=True, kw_only=True):
    """The whole path. `clock_seconds` is how long ago the clock looked; None where it never did."""

    consumers: list[ConsumerLag]
    slot: SlotLag | None
    dead_letters: int
    webhooks_behind_seconds: float
    deliveries: Mapping[str, int]
    clock_seconds: float | None


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    types: Sequence[str]
    reconciled: int
    reconciled_at: datetime | None
    looked_seconds: float
    oldest_seconds: float
    retrying: int
    dead_letters: int


def event_path() -> EventPath:
    """Look at all of it. Raises django.db.Error; without the streams the groups are None."""
    rows = [_Row(*row) for row in _rows(CONSUMERS, [LOOKED_AT])]
    groups = _groups(rows)
    (letters,) = _rows(LETTERS, [])[0]
    return EventPath(
        consumers=[
            ConsumerLag(
                name=row.name,
                oldest_unprocessed_seconds=round(row.oldest_seconds, 3),
                retrying=row.retrying,
                dead_letters=row.dead_letters,
                reconciled=row.reconciled,
                reconciled_at=row.reconciled_at,
                group=groups.get(row.name),
            )
            for row in rows
        ],
        slot=slot_lag(),
        dead_letters=letters,
        webhooks_behind_seconds=round(seconds_behind(), 3),
        deliveries=recent_outcomes(),
        clock_seconds=round(max(row.looked_seconds for row in rows), 3) if rows else None,
    )


def slot_lag() -> SlotLag | None:
    """The replication slot of this database; None when there is none."""
    found = _rows(SLOT, [settings.SLOT])
    if not found:
        return None
    active, status, lag, kept, safe = found[0]
    return SlotLag(active=active, status=status, lag_bytes=lag or 0, kept_bytes=kept or 0, safe_bytes=safe)


def _groups(rows: Iterable[_Row]) -> dict[str, GroupLag]:
    if not settings.REDIS_URL:
        return {}
    client = server_client(settings.REDIS_URL)
    try:
        return {row.name: _group(client, row) for row in rows}
    except (redis.RedisError, OSError):
        return {}


def _group(client: Any, row: _Row) -> GroupLag:
    seconds, pending, readers, entries = 0.0, 0, set(), []
    for stream in sorted({STREAM + name.partition(".")[0] for name in row.types}):
        try:
            found = [group for group in client.xinfo_groups(stream) if group["name"] == row.name.encode()]
            for group in found:
                pending += group["pending"]
                entries.append(group.get("lag"))
                seconds = max(seconds, _waiting(client, stream, group["last-delivered-id"]))
                for reader in client.xinfo_consumers(stream, row.name):
                    if reader["idle"] < ALIVE_MILLISECONDS:
                        readers.add(reader["name"])
        except redis.ResponseError:
            continue  # no such stream yet
    known = None if None in entries else sum(entries)
    return GroupLag(seconds=round(seconds, 3), entries=known, pending=pending, readers=len(readers))


def _waiting(client: Any, stream: str, delivered: bytes) -> float:
    """The age of the first entry behind the one that was given last, by the clock of the streams' server."""
    following = client.xrange(stream, min=f"({delivered.decode()}", count=1)
    if not following:
        return 0.0
    seconds, microseconds = client.time()
    made = int(following[0][0].partition(b"-")[0]) / 1000
    return max(0.0, float(seconds + microseconds / 1e6 - made))


def _rows(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


@cache
def server_client(url: str) -> redis.Redis:
    """A client of the streams' or the cache's server that does not wait long: for looking, not for working."""
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
