"""A consumer's group on the streams: read, claim, acknowledge. Knows Redis and Valkey, and no database."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from souk.reactions.reaction import Consumer, subject_type_of

# Whoever has not acknowledged an entry by then is taken for dead. Too short costs double work, never a double effect.
CLAIM_AFTER_MILLISECONDS = 10_000
FORGET_AFTER_MILLISECONDS = 3_600_000
LONGEST_FIELD = 2000


class NoGroup(Exception):
    """A stream or the group on it is gone."""


class Notice(msgspec.Struct, frozen=True):
    """What an entry tells: that this event is in the log. Everything else is read there."""

    id: UUID
    type: str
    subject_id: UUID

    @property
    def subject_type(self) -> str:
        """The kind of its subject, which is the first word of its type."""
        return subject_type_of(self.type)


# Made here, by one thread: two that use a shape for the first time at once can end the process (souk.kit.parsing).
NOTICES = msgspec.json.Decoder(Notice)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream. `again` when it was delivered before; no fields when it was trimmed meanwhile."""

    stream: str
    id: str
    fields: dict[bytes, bytes]
    again: bool

    def notice(self) -> Notice:
        """Read `value`, and nothing else. Raises ValueError."""
        if b"value" not in self.fields:
            raise ValueError("The entry has no field `value`.")
        try:
            return NOTICES.decode(self.fields[b"value"])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"The entry's value is not an event: {error}") from error

    def shown(self) -> dict[str, str]:
        """The fields as text that a person and a database can bear."""
        return {_text(name): _text(value) for name, value in self.fields.items()}


def stream_client(url: str) -> redis.Redis:
    """A client for any number of threads. Every answer comes within 5 s or counts as lost."""
    # Without tries of its own: whoever calls tries again, and looks first whether it should stop.
    return redis.Redis.from_url(
        url, socket_timeout=5, socket_connect_timeout=2, protocol=2, retry=Retry(NoBackoff(), retries=0)
    )


def reader_name(hand: int) -> str:
    """The name of one hand of this process: the same one as long as the process lives."""
    return f"{socket.gethostname()}-{os.getpid()}-{hand}"


class Group:
    """One reader in a consumer's group. Its methods raise redis.RedisError, those that read NoGroup too."""

    def __init__(self, client: redis.Redis, consumer: Consumer, reader: str) -> None:
        self._client = client
        self._name = consumer.name
        self._reader = reader
        self._streams = consumer.streams()
        self._batch = consumer.batch

    def make(self) -> None:
        """Make the streams and the group where they are missing, from each stream's beginning. Forgets dead readers."""
        for stream in self._streams:
            try:
                self._client.xgroup_create(stream, self._name, id="0", mkstream=True)
            except redis.ResponseError as refused:
                if not str(refused).startswith("BUSYGROUP"):
                    raise
            self._forget_dead_readers(stream)

    def own_pending(self) -> Iterator[Entry]:
        """What this reader was given and has not acknowledged, oldest first, one at a time."""
        after: dict[Any, Any] = dict.fromkeys(self._streams, "0")
        while after:
            with _missing_group_told():
                given = self._client.xreadgroup(self._name, self._reader, after, count=1)
            entries = _entries(given, again=True)
            after = {entry.stream: entry.id for entry in entries}
            yield from entries

    def claim_abandoned(self) -> Iterator[Entry]:
        """What other readers were given and left lying, one at a time: who dies of one has not touched the next."""
        for stream in self._streams:
            start: Any = "0-0"
            while True:
                with _missing_group_told():
                    found = cast(
                        "Sequence[Any]",
                        self._client.xautoclaim(
                            stream, self._name, self._reader, CLAIM_AFTER_MILLISECONDS, start_id=start, count=1
                        ),
                    )
                start = found[0]
                yield from _entries([(stream.encode(), found[1])], again=True)
                if start == b"0-0":
                    break

    def read_new(self, *, wait_milliseconds: int) -> list[Entry]:
        """What nobody was given yet; waits for it. At most one batch per stream."""
        with _missing_group_told():
            given = self._client.xreadgroup(
                self._name,
                self._reader,
                dict.fromkeys(self._streams, ">"),
                count=self._batch,
                block=wait_milliseconds,
            )
        return _entries(given, again=False)

    def acknowledge(self, entries: Iterable[Entry]) -> None:
        """These entries need not be delivered again."""
        by_stream: dict[str, list[str]] = {}
        for entry in entries:
            by_stream.setdefault(entry.stream, []).append(entry.id)
        for stream, ids in by_stream.items():
            self._client.xack(stream, self._name, *ids)

    def leave(self) -> None:
        """Take this reader out of the group, unless it still has something pending: that would be dropped with it."""
        for stream in self._streams:
            with suppress(redis.RedisError):
                if not self._client.xpending_range(stream, self._name, "-", "+", 1, consumername=self._reader):
                    self._client.xgroup_delconsumer(stream, self._name, self._reader)

    def _forget_dead_readers(self, stream: str) -> None:
        for reader in cast("Sequence[Any]", self._client.xinfo_consumers(stream, self._name)):
            if reader["pending"] == 0 and reader["idle"] > FORGET_AFTER_MILLISECONDS:
                self._client.xgroup_delconsumer(stream, self._name, reader["name"])


@contextmanager
def _missing_group_told() -> Iterator[None]:
    try:
        yield
    except redis.ResponseError as refused:
        if str(refused).startswith("NOGROUP"):
            raise NoGroup from refused
        raise


def _entries(given: Any, *, again: bool) -> list[Entry]:
    return [
        Entry(stream=_text(stream), id=_text(entry_id), fields=fields or {}, again=again)
        for stream, entries in given or []
        for entry_id, fields in entries
    ]


def _text(raw: bytes) -> str:
    return raw[:LONGEST_FIELD].decode(errors="backslashreplace").replace("\0", "\\x00")
