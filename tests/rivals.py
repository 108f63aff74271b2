"""Several at once: threads that speak through their own connections, and a second connection that holds locks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, TypeVar

import psycopg
from django.db import connection, connections

from tests.books import value_of

Result = TypeVar("Result")
PATIENCE_SECONDS = 20.0


def at_once(calls: Sequence[Callable[[], Result]]) -> list[Result]:
    """What each of the calls gave, in their order; they begin together, each in a thread of its own."""
    start = Barrier(len(calls))

    def one(call: Callable[[], Result]) -> Result:
        start.wait(PATIENCE_SECONDS)
        return _with_own_connection(call)

    with ThreadPoolExecutor(len(calls)) as threads:
        return [running.result(PATIENCE_SECONDS) for running in [threads.submit(one, call) for call in calls]]


@contextmanager
def in_background(call: Callable[[], Result]) -> Iterator[Future[Result]]:
    """The call, running in another thread; it has ended when the block is left."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(_with_own_connection, call)


@contextmanager
def rival() -> Iterator[psycopg.Cursor[Any]]:
    """A cursor of another connection, in a transaction that is rolled back unless the block commits it."""
    at = connection.settings_dict
    address = {"host": at["HOST"], "port": at["PORT"], "dbname": at["NAME"], "user": at["USER"]}
    with psycopg.connect(**address, password=at["PASSWORD"]) as other:
        try:
            with other.cursor() as cursor:
                yield cursor
        finally:
            other.rollback()


def wait_for_waiting(how_many: int = 1) -> None:
    """Return when so many connections wait for a lock of this database."""
    until = time.monotonic() + PATIENCE_SECONDS
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while value_of(sql) < how_many:
        assert time.monotonic() < until, "nobody waits for a lock"
        time.sleep(0.01)


def wait_for(sql: str, *parameters: Any) -> None:
    """Return when the statement gives true."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not value_of(sql, *parameters):
        assert time.monotonic() < until, f"this did not become true: {sql}"
        time.sleep(0.01)


def _with_own_connection(call: Callable[[], Result]) -> Result:
    try:
        return call()
    finally:
        connections["default"].close()
