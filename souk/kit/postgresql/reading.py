"""Where reads go: strangers to the replica, as long as it is near enough. Without a replica this costs nothing.

Signed-in callers always read the primary, so they see what they wrote. Whatever the replica refuses, loses or does not
have yet is asked of the primary.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections

from souk.kit.postgresql.base import read_again_if_lost
from souk.kit.postgresql.replica import Watch

REPLICA = "replica"
Value = TypeVar("Value")


class Reading(threading.local):
    """`alias` names the database that this thread reads; `read_near` alone changes it."""

    alias = DEFAULT_DB_ALIAS


reading = Reading()


@cache
def watch() -> Watch:
    """The one of this process."""
    return Watch(
        primary_url=settings.DATABASE_URL,
        replica_url=settings.DATABASE_REPLICA_URL,
        limit_seconds=settings.REPLICA_LAG.total_seconds(),
    )


def read_near(read: Callable[[], Value], *, not_there: type[Exception]) -> Value:
    """What the read gives on the replica; on the primary while that one is away, late, or lacks what is asked for.

    `not_there` is what the read raises for a row that it does not find: the primary may have it already.
    """
    if watch().is_near():
        wrapper = connections[REPLICA]
        try:
            wrapper.ensure_connection()
            reading.alias = REPLICA
            return watch().guarded(wrapper.connection, read)
        except not_there:
            pass
        except (DatabaseError, InterfaceError):
            watch().doubt()
            wrapper.close()
        finally:
            reading.alias = DEFAULT_DB_ALIAS
    return read_again_if_lost(read)


class Router:
    """Sends the queries of models where the hot reads go. Django asks it only where there is a replica."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return reading.alias

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, alias: str, app_label: str, **hints: Any) -> bool:
        return alias == DEFAULT_DB_ALIAS
