"""Reads take turns: so many of one process are at work at once, the others wait in front of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

# What stands below this are the doors of the API.
DOORS = "/api/"
# Who has waited this long goes on in any case: a slow read keeps nobody from being answered.
PATIENCE_SECONDS = 0.05

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Turns:
    """A WSGI application whose reads of the API take turns; everything else passes by.

    A read is short and mostly processor time. Several at once in one interpreter do not end sooner: they hand its lock
    to and fro, and the slowest of them waits for all others several times. One after the other halves the 99th
    percentile at about the same throughput (docs/decisions/0038-reads-take-turns.md). Writes wait for locks and for the
    disk, and sign-ins compute outside of the interpreter's lock, so these go on beside each other.
    """

    def __init__(self, application: Wsgi, *, at_once: int) -> None:
        self._application = application
        self._turns = threading.Lock() if at_once == 1 else threading.Semaphore(at_once)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or not environ.get("PATH_INFO", "").startswith(DOORS):
            return self._application(environ, start_response)
        has_turn = self._turns.acquire(timeout=PATIENCE_SECONDS)
        try:
            return self._application(environ, start_response)
        finally:
            if has_turn:
                self._turns.release()
