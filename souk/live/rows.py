"""The few questions that the live process puts to the database, each in one of a handful of threads.

Django's connections belong to threads, so these threads are all the connections that any number of listeners need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

from django.db import close_old_connections, connection

from souk.eventlog.operations import number_events

Value = TypeVar("Value")
THREADS = ThreadPoolExecutor(max_workers=4, thread_name_prefix="rows")
# At most so many events are looked at for one wake-up; the rest comes at once after it.
AT_ONCE = 1000
NEWS = "SELECT position, audience FROM eventlog_event WHERE position > %s ORDER BY position LIMIT %s"


async def ask(question: Callable[[], Value]) -> Value:
    """The answer to a question that blocks, without blocking anybody."""
    return await asyncio.get_running_loop().run_in_executor(THREADS, _with_fresh_connection, question)


def news_since(position: int) -> tuple[int, set[UUID], bool]:
    """Who has something new behind this position: the position looked at, the users, and whether there is more."""
    number_events()
    with connection.cursor() as cursor:
        cursor.execute(NEWS, [position, AT_ONCE])
        rows = cursor.fetchall()
    readers = {reader for _, audience in rows for reader in audience}
    return (rows[-1][0] if rows else position), readers, len(rows) == AT_ONCE


def _with_fresh_connection(question: Callable[[], Value]) -> Value:
    close_old_connections()
    try:
        return question()
    finally:
        close_old_connections()
