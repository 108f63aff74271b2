"""Is every part of Souk well? Only the database's absence makes it unready."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import redis
from django.conf import settings
from django.db import Error, connection

from souk.kit.parsing import Shape

# Older than this and an event has been waiting for longer than any healthy worker takes.
LATE_SECONDS = 30.0
OLDEST_WAITING = """
    SELECT extract(epoch FROM clock_timestamp() - min(created)) FROM eventlog_event WHERE position IS NULL
"""
SLOT_ACTIVE = "SELECT active FROM pg_replication_slots WHERE slot_name = 'souk' AND database = current_database()"


class Check(Shape, frozen=True, kw_only=True):
    """How one part is. `age_seconds` is how long something has been waiting for it, where that has a meaning."""

    state: Literal["ok", "failing"]
    age_seconds: float | None = None


class Health(Shape, frozen=True, kw_only=True):
    """How Souk is: `degraded` when a part fails without which requests are still answered."""

    status: Literal["ready", "degraded", "unavailable"]
    checks: dict[str, Check]


def health() -> Health:
    """Look at every part, now."""
    checks = {"database": _checked(_database)}
    if checks["database"].state == "failing":
        return Health(status="unavailable", checks=checks)
    checks |= {
        "streams": _checked(lambda: _ping(settings.REDIS_URL)),
        "cache": _checked(lambda: _ping(settings.CACHE_URL)),
        "capture": _checked(_capture),
        "feed": _checked(_feed),
    }
    well = all(check.state == "ok" for check in checks.values())
    return Health(status="ready" if well else "degraded", checks=checks)


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


def _ping(url: str) -> None:
    if not url:
        raise _Unwell
    _client(url).ping()


def _capture() -> None:
    if not _one(SLOT_ACTIVE):
        raise _Unwell


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


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
