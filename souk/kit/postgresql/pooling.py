"""What the pool of database connections of this process did, as counts for `/metrics`."""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from souk.kit import measures


def count_pool() -> None:
    """Count what the pool did since the last call; nothing in a process without one."""
    pool = getattr(connection, "pool", None)
    if pool is None:
        return
    done = pool.pop_stats()
    for counter, name, unit in (
        (measures.pool_requests, "requests_num", 1),
        (measures.pool_waits, "requests_queued", 1),
        (measures.pool_wait_seconds, "requests_wait_ms", 0.001),
        (measures.pool_errors, "requests_errors", 1),
    ):
        counter.labels(settings.PROCESS).inc(done.get(name, 0) * unit)
