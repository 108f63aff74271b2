"""Who answers a search: the search server while it is well and up to date, and PostgreSQL whenever it is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache, partial
from typing import TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection

from souk.search import gateway
from souk.search.gateway import SearchAway
from souk.search.operations import finding, serving
from souk.search.operations.finding import Found, Place, Wish
from souk.search.operations.indexing import seconds_behind
from souk.search.operations.serving import ServerPlace

Value = TypeVar("Value")
log = structlog.get_logger()
LOOK_SECONDS = 1.0
# A verdict counts this long: whoever looks may itself be kept waiting.
VERDICT_SECONDS = 5.0
# After so many failures in a row nobody asks the server for this long, whatever a look finds.
FAILURES, OPEN_SECONDS = 3, 5.0


class Watch:
    """Looks at the search server and its lag beside the requests, and is the breaker that failing requests open."""

    def __init__(self) -> None:
        self.fault, self.seconds = "it was not looked at yet", 0.0
        self._well_until = self._open_until = 0.0
        self._failures = 0
        self._begun, self._looked, self._stopped = threading.Lock(), threading.Event(), threading.Event()

    def is_well(self) -> bool:
        """Whether the server may be asked now."""
        now = time.monotonic()
        if now < self._well_until and now >= self._open_until:
            return True
        if not self._looked.is_set():
            self._begin()
        return False

    def told(self) -> str:
        """Why PostgreSQL answers; empty while the server does. Waits for the first look."""
        self._begin()
        self._looked.wait(4 * LOOK_SECONDS)
        now = time.monotonic()
        if self.fault or now < self._well_until:
            return self.fault or ("it failed several times in a row" if now < self._open_until else "")
        return "to look at it takes too long"

    def succeeded(self) -> None:
        """A request was answered."""
        self._failures = 0

    def failed(self, why: str) -> None:
        """A request was not answered, or too late."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._failures = 0
            self._open_until = time.monotonic() + OPEN_SECONDS
            log.warning("search.breaker_opened", seconds=OPEN_SECONDS, why=why)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _begin(self) -> None:
        if self._begun.acquire(blocking=False):
            threading.Thread(target=self._look_on, name="search watch", daemon=True).start()

    def _look_on(self) -> None:
        while not self._stopped.is_set():
            fault, seconds = self._look()
            if fault != self.fault:
                log.warning("search.not_asked", why=fault) if fault else log.info("search.asked")
            self.fault, self.seconds = fault, seconds
            self._well_until = 0.0 if fault else time.monotonic() + VERDICT_SECONDS
            self._looked.set()
            self._stopped.wait(LOOK_SECONDS)

    def _look(self) -> tuple[str, float]:
        seconds = self.seconds
        try:
            fault = gateway.fault()
            seconds = seconds_behind()
        except Exception as error:  # noqa: BLE001  # whatever it is, the shop goes on and looks again
            fault = f"it cannot be looked at: {str(error).strip()}"
        finally:
            connection.close()
        limit = settings.SEARCH_LAG.total_seconds()
        if not fault and seconds > limit:
            fault = f"it is {seconds:.0f} s behind; {limit:g} are allowed"
        return fault, seconds


@cache
def watch() -> Watch:
    """The one of this process."""
    return Watch()


def find_newest(*, wish: Wish, before: UUID | None, limit: int, caller_id: UUID | None) -> Found:
    """The newest products that match, from whoever may answer. The cursor of either is one of the other."""
    if settings.SEARCH_URL and not wish.ids:
        served = _served(partial(serving.find_newest, wish=wish, before=before, limit=limit, caller_id=caller_id))
        if served is not None:
            return served
    return finding.find_newest(wish=wish, before=before, limit=limit, caller_id=caller_id)


def find_best(
    *, wish: Wish, after: Place | ServerPlace | None, limit: int, caller_id: UUID | None
) -> tuple[Found, Place | ServerPlace | None]:
    """The products that fit the words best, from whoever may answer.

    Who began with the one goes on with it as long as that can be. When the server fails between two pages, PostgreSQL
    goes on by its own order after as many products as were seen.
    """
    if settings.SEARCH_URL and not wish.ids and not isinstance(after, Place):
        served = _served(partial(serving.find_best, wish=wish, after=after, limit=limit, caller_id=caller_id))
        if served is not None:
            return served
    if not isinstance(after, ServerPlace):
        return finding.find_best(wish=wish, after=after, limit=limit, caller_id=caller_id)
    found, place = finding.find_best(wish=wish, after=None, limit=after.seen + limit, caller_id=caller_id)
    return Found(found.shown[after.seen :], found.following), place


def _served(question: Callable[[], Value]) -> Value | None:
    """What the server answers; None when it is not well, or turns out not to be."""
    if not watch().is_well():
        return None
    try:
        answer = question()
    except SearchAway as away:
        watch().failed(str(away))
        return None
    watch().succeeded()
    return answer


def read_place(text: str) -> Place | ServerPlace:
    """The place in a cursor, of either. Raises ValueError."""
    return ServerPlace.read(text) if text.startswith("server ") else Place.read(text)
