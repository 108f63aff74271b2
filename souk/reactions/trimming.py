"""Taking out of the streams what everybody is done with, so that the stream server never fills up.

Never by length: a stream is cut below what each of its groups has acknowledged, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import redis
import structlog
from django.conf import settings

from souk.reactions.reaction import STREAM, Consumer
from souk.reactions.stream import stream_client

log = structlog.get_logger()
# What Debezium Server writes beside the events; the embedded engine leaves them out.
HEARTBEATS = "__debezium-heartbeat."
# Streams that no group reads are kept this long, for listeners that read without one.
KEPT_SECONDS = 120
# So many entries that a group has not acknowledged are worth a word to the operator.
MANY = 100_000


def trim_streams(consumers: Sequence[Consumer], *, client: redis.Redis | None = None) -> int:
    """Cut every stream of events, and of heartbeats; returns how many entries are gone. Raises redis.RedisError.

    A stream that lacks the group of a consumer that reads it is left whole until the group is there again.
    """
    if client is None:
        if not settings.REDIS_URL:
            return 0
        client = stream_client(settings.REDIS_URL)
    readers: dict[str, set[str]] = {}
    for consumer in consumers:
        for stream in consumer.streams():
            readers.setdefault(stream, set()).add(consumer.name)
    gone = 0
    for pattern in (f"{STREAM}*", f"{HEARTBEATS}*"):
        for key in client.scan_iter(match=pattern, count=1000, _type="STREAM"):
            stream = key.decode()
            least = _least_needed(client, stream, readers.get(stream, set()))
            if least is not None:
                gone += client.xtrim(stream, minid=least, approximate=False)
    return gone


def _least_needed(client: redis.Redis, stream: str, expected: set[str]) -> str | None:
    """The id below which no entry is needed any more; None while that cannot be known."""
    groups = cast("Sequence[dict[str, Any]]", client.xinfo_groups(stream))
    if not expected <= {group["name"].decode() for group in groups}:
        return None
    if not groups:
        seconds, _ = client.time()
        return f"{(seconds - KEPT_SECONDS) * 1000}-0"
    needed = [(_least_of(client, stream, group), group["name"].decode()) for group in groups]
    least, slowest = min(needed, key=lambda one: _as_number(one[0]))
    if client.xlen(stream) > MANY:
        log.warning("stream.long", stream=stream, entries=client.xlen(stream), slowest_group=slowest, waits_at=least)
    return least


def _least_of(client: redis.Redis, stream: str, group: dict[str, Any]) -> str:
    """The first entry that this group may still ask for: its oldest pending one, or else the last that it was given."""
    pending = client.xpending(stream, group["name"])
    if pending["pending"]:
        return str(pending["min"].decode())
    # Read before the pending ones were counted: what was given and acknowledged since then is above it.
    return str(group["last-delivered-id"].decode())


def _as_number(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)
