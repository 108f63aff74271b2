"""Work that is done again and again, in threads, until the process is told to stop; whatever fails meanwhile."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import redis
import structlog
from django.conf import settings
from django.db import Error, close_old_connections, connection, connections

from souk.kit.postgresql.pooling import count_pool

log = structlog.get_logger()
LONGEST_PAUSE_SECONDS = 5.0
JOIN_SECONDS = 30.0


def stop_on_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def run_threads(works: Mapping[str, Callable[[], float]], *, stop: threading.Event) -> None:
    """Repeat each work in a thread of its own until `stop` is set; what is being done then is finished first.

    Raises RuntimeError when a thread ends by itself: the process must be started anew.
    """
    threads = [
        threading.Thread(target=repeat, args=[work], kwargs={"name": name, "stop": stop}, name=name, daemon=True)
        for name, work in works.items()
    ]
    for thread in threads:
        thread.start()
    while not stop.wait(1):
        count_pool()
        if settings.ALIVE_FILE:
            Path(settings.ALIVE_FILE).touch()
        dead = [thread.name for thread in threads if not thread.is_alive()]
        if dead and not stop.is_set():
            raise RuntimeError(f"These threads ended by themselves: {', '.join(dead)}")
    until = time.monotonic() + JOIN_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def repeat(work: Callable[[], float], *, name: str, stop: threading.Event) -> None:
    """Do the work, rest for as many seconds as it says, and again; after a failure rest longer each time.

    A database connection is held only while there is work.
    """
    failures = 0
    while not stop.is_set():
        try:
            pause = work()
            failures = 0
        except Exception as error:
            failures += 1
            pause = min(0.1 * 2**failures, LONGEST_PAUSE_SECONDS)
            known = isinstance(error, Error | redis.RedisError | OSError)
            log.warning("work.failed", work=name, error=str(error), pause=pause, exc_info=not known)
            if isinstance(error, Error):
                _discard_broken_connections()
        finally:
            close_old_connections()
        stop.wait(pause)
    connections.close_all()


def _discard_broken_connections() -> None:
    """After a restart of the database every connection in the pool is broken, and each would fail once more."""
    pool = getattr(connection, "pool", None)
    if pool is not None:
        pool.check()
