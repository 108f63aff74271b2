"""Who listens, and who is to be woken: the streams only say that there is news, the table says for whom."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import redis.asyncio as redis
import structlog
from django.conf import settings
from django.db import Error
from redis.exceptions import RedisError

from souk.eventlog.feed import present_position
from souk.eventlog.types import EVENT_TYPES
from souk.kit.problem import NotAuthenticated
from souk.kit.ratelimit import RateLimited
from souk.live.rows import ask, news_since
from souk.live.tickets import holders_of

log = structlog.get_logger()
STREAMS = sorted({f"souk.events.{name.partition('.')[0]}" for name in EVENT_TYPES})
# Without any wake-up the table is looked at so often: that is the delay when the streams are away.
LOOK_SECONDS = 1.0
# The next look waits for so long: one for what came meanwhile costs hardly more than one for a single event.
LOOKS_APART_SECONDS = 0.02
# An entry can reach the streams a moment before its commit can be seen, or while somebody else is numbering.
UNSEEN_PAUSES = (0.003, 0.01, 0.03, 0.1)
TOKENS_LOOKED_AT_SECONDS = 10.0
MOST_OF_ONE_USER = 20


@dataclass(eq=False, slots=True)
class Listener:
    """One open connection. `woken` is set when there is something to read behind `position`, `ended` for good."""

    user_id: UUID
    checksum: str
    position: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    ended: bool = False

    def end(self) -> None:
        """Let the connection be closed by whoever serves it."""
        self.ended = True
        self.woken.set()


class Hub:
    """Every listener of this process. `tail` is the position up to which the listeners were woken.

    While nobody listens it hears and asks nothing, and `tail` stays behind until the next one comes (`present`).
    """

    def __init__(self) -> None:
        self.tail = 0
        self._listeners: dict[UUID, set[Listener]] = defaultdict(set)
        self._news = asyncio.Event()
        self._somebody = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Begin to hear. Raises django.db.Error without a database."""
        self.tail = await ask(present_position)
        works = [self._look, self._check_tokens, *([self._hear_streams] if settings.REDIS_URL else [])]
        self._tasks = [asyncio.create_task(work()) for work in works]
        for task in self._tasks:
            task.add_done_callback(_end_process_unless_asked)

    async def close(self) -> None:
        """End every connection and all work."""
        for listener in self._all():
            listener.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def present(self) -> int:
        """The position of now, to be asked for right before `join`. Raises django.db.Error."""
        if not self._listeners:
            present = await ask(present_position)
            # Whoever joined meanwhile is still to be woken for what lies behind the tail.
            if not self._listeners:
                self.tail = max(present, self.tail)
        return self.tail

    def join(self, listener: Listener) -> None:
        """Wake this listener from now on. Raises RateLimited when its user has too many connections."""
        mine = self._listeners[listener.user_id]
        if len(mine) >= MOST_OF_ONE_USER:
            raise RateLimited(f"A user has at most {MOST_OF_ONE_USER} live connections.", retry_after=10)
        mine.add(listener)
        self._somebody.set()

    def leave(self, listener: Listener) -> None:
        """Forget this listener."""
        mine = self._listeners[listener.user_id]
        mine.discard(listener)
        if not mine:
            del self._listeners[listener.user_id]
        if not self._listeners:
            self._somebody.clear()

    def count(self) -> int:
        """How many connections are open."""
        return sum(map(len, self._listeners.values()))

    async def _hear_streams(self) -> None:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=2, protocol=2)
        while True:
            await self._somebody.wait()
            try:
                seen = await _ends_of_streams(client)
                # Entries made before these ends are found in the table.
                self._news.set()
                while self._listeners:
                    news: Any = await client.xread(dict(seen), count=1000, block=2000)
                    for stream, entries in news or []:
                        seen[stream.decode()] = entries[-1][0]
                        self._news.set()
            except (RedisError, OSError) as error:
                log.warning("live.streams_away", error=str(error))
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        while True:
            await self._somebody.wait()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
                told = True
            except TimeoutError:
                told = False
            self._news.clear()
            try:
                await self._wake_readers(expected=told)
            except Error as error:
                log.warning("live.database_away", error=str(error))
                await asyncio.sleep(LOOK_SECONDS)
            await asyncio.sleep(LOOKS_APART_SECONDS)

    async def _wake_readers(self, *, expected: bool) -> None:
        for pause in (*UNSEEN_PAUSES, None):
            before, more = self.tail, True
            while more:
                tail, readers, more = await ask(lambda: news_since(self.tail))
                for listener in [one for reader in readers for one in self._listeners.get(reader, ())]:
                    listener.woken.set()
                # After the waking, in the same step: whoever is not woken has read everything up to here.
                # Never back: a look that began before a quiet time may end after it.
                self.tail = max(tail, self.tail)
            if self.tail != before or not expected or pause is None or self._news.is_set():
                return
            await asyncio.sleep(pause)

    async def _check_tokens(self) -> None:
        while True:
            await asyncio.sleep(TOKENS_LOOKED_AT_SECONDS)
            checksums = {listener.checksum for listener in self._all()}
            if not checksums:
                continue
            try:
                good = await ask(lambda: holders_of(checksums))  # noqa: B023  # asked and answered within this round
            except Error as error:
                log.warning("live.database_away", error=str(error))
                continue
            for listener in self._all():
                if listener.checksum in checksums and listener.checksum not in good:
                    listener.end()

    def _all(self) -> list[Listener]:
        return [listener for mine in self._listeners.values() for listener in mine]


async def _ends_of_streams(client: redis.Redis) -> dict[Any, Any]:
    """Each stream's last entry. Raises RedisError."""
    async with client.pipeline(transaction=False) as asked:
        for stream in STREAMS:
            asked.xrevrange(stream, count=1)
        told = await asked.execute()
    return {stream: entries[0][0] if entries else "0-0" for stream, entries in zip(STREAMS, told, strict=True)}


def _end_process_unless_asked(task: asyncio.Task[None]) -> None:
    """A hub whose work has ended wakes nobody any more: better that all listeners resume at a new process."""
    if not task.cancelled():
        log.critical("live.broken", error=repr(task.exception()))
        signal.raise_signal(signal.SIGTERM)


async def holder_of(checksum: str) -> UUID:
    """The user whom a token stands for. Raises NotAuthenticated."""
    good = await ask(lambda: holders_of([checksum]))
    if checksum not in good:
        raise NotAuthenticated("The access token is unknown, has expired, or was ended.", invalid_token=True)
    return good[checksum]
