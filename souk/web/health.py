"""Is every part of Souk well? Only the database's absence makes it unready."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import redis
from django.conf import settings
from django.db import Error, connection
from msgspec import UNSET, UnsetType

from souk.kit.parsing import Shape
from souk.kit.postgresql.reading import watch
from souk.search.operations.choosing import watch as search_watch
from souk.web.event_path import EventPath, event_path, server_client

# Older than this and an event has been waiting for longer than any healthy worker takes.
LATE_SECONDS = 30.0
# The first by number is the oldest but for transactions that ran beside each other; one entry of the index tells it,
# however many are waiting.
OLDEST_WAITING = """
    SELECT extract(epoch FROM clock_timestamp() - created) FROM eventlog_event WHERE position IS NULL ORDER BY n LIMIT 1
"""


class LivenessOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The process answers."""

    status: Literal["live"]


class Check(Shape, frozen=True, kw_only=True):
    """How one part is. `age_seconds` is how long something has been waiting for it, where that has a meaning.

    A `warning` wants a person's eye and does not make the whole degraded; `count` says of how many things.
    """

    state: Literal["ok", "warning", "failing"]
    age_seconds: float | None = None
    count: int | UnsetType = UNSET


class Health(Shape, frozen=True, kw_only=True):
    """How Souk is: `degraded` when a part fails without which requests are still answered.

    `event_path` is told to those who may read the metrics.
    """

    status: Literal["ready", "degraded", "unavailable"]
    checks: dict[str, Check]
    event_path: EventPath | UnsetType | None = UNSET


def health(*, with_path: bool = False) -> Health:
    """Look at every part, now."""
    checks = {"database": _checked(_database)}
    if checks["database"].state == "failing":
        return Health(status="unavailable", checks=checks)
    checks |= {
        "streams": _checked(lambda: _ping(settings.REDIS_URL)),
        "cache": _checked(lambda: _ping(settings.CACHE_URL)),
        "feed": _checked(_feed),
    }
    if settings.DATABASE_REPLICA_URL:
        checks["replica"] = _replica()
    if settings.SEARCH_URL:
        checks["search"] = _search()
    path = _path()
    checks |= _checks_of(path) if path else {"event_path": Check(state="failing")}
    degraded = any(check.state == "failing" for check in checks.values())
    return Health(status="degraded" if degraded else "ready", checks=checks, event_path=path if with_path else UNSET)


def _checks_of(path: EventPath) -> dict[str, Check]:
    slot, consumers = path.slot, path.consumers
    # Half of what may be kept for the slot is used up.
    filling = slot is not None and slot.safe_bytes is not None and slot.kept_bytes > slot.safe_bytes
    captures = slot is not None and slot.active and slot.status in ("reserved", "extended")
    return {
        "capture": Check(state="failing" if not captures else "warning" if filling else "ok"),
        "worker": Check(state=_well(consumers and all(one.group and one.group.readers for one in consumers))),
        "events": _timely(max((one.oldest_unprocessed_seconds for one in consumers), default=None)),
        "clock": _timely(path.clock_seconds),
        "webhooks": _timely(path.webhooks_behind_seconds),
        "dead_letters": Check(state="warning" if path.dead_letters else "ok", count=path.dead_letters),
    }


def _well(good: object) -> Literal["ok", "failing"]:
    return "ok" if good else "failing"


def _timely(age: float | None) -> Check:
    return Check(state=_well(age is not None and age <= LATE_SECONDS), age_seconds=age)


def _path() -> EventPath | None:
    try:
        return event_path()
    except Error:
        return None


def _checked(look: Callable[[], float | None]) -> Check:
    try:
        return Check(state="ok", age_seconds=look())
    except (Error, redis.RedisError, OSError, _Unwell) as unwell:
        return Check(state="failing", age_seconds=unwell.age if isinstance(unwell, _Unwell) else None)


class _Unwell(Exception):
    def __init__(self, age: float | None = None) -> None:
        super().__init__()
        self.age = age


def _database() -> None:
    _one("SELECT 1")


def _replica() -> Check:
    """Its age is how far it is behind; while it fails the primary answers strangers too."""
    verdict = watch().told()
    age = None if verdict.seconds is None else round(verdict.seconds, 3)
    return Check(state=_well(not verdict.fault), age_seconds=age)


def _search() -> Check:
    """Its age is how late the search server is; while it fails PostgreSQL searches."""
    fault = search_watch().told()
    return Check(state=_well(not fault), age_seconds=round(search_watch().seconds, 3))


def _ping(url: str) -> None:
    if not url:
        raise _Unwell
    server_client(url).ping()


def _feed() -> float:
    age = round(float(_one(OLDEST_WAITING) or 0), 3)
    if age > LATE_SECONDS:
        raise _Unwell(age)
    return age


def _one(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
        return row[0] if row else None
