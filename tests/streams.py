"""A real Valkey of the tests' own, and the events of the log put into its streams as change data capture does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import redis

from souk.eventlog.models import Event
from souk.reactions.stream import stream_client
from souk.stack.home import free_port
from souk.stack.valkey import program


@contextmanager
def running_valkey(folder: Path) -> Iterator[redis.Redis]:
    """A server that keeps nothing, for as long as the block lasts."""
    port = free_port(set())
    argv = [str(program()), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    client = stream_client(f"redis://127.0.0.1:{port}/0")
    try:
        wait_until(lambda: answers(client))
        yield client
    finally:
        client.close()
        server.terminate()
        server.wait(10)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def wait_until(reached: Callable[[], Any], *, seconds: float = 20.0) -> None:
    """Wait until it is so; fails when it never is."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def put_into_streams(client: redis.Redis, events: Iterable[Event]) -> None:
    """Add each event to the stream of its subject, with the fields that change data capture writes."""
    for event in events:
        value = {
            "payload": msgspec.json.encode(event.data).decode(),
            "id": str(event.id),
            "type": event.type,
            "subject_type": event.subject_type,
            "subject_id": str(event.subject_id),
            "sequence": event.sequence,
            "created": event.created.isoformat(),
            "traceparent": event.traceparent,
            "actor": event.actor,
        }
        key = msgspec.json.encode({"subject_id": str(event.subject_id)})
        client.xadd(f"souk.events.{event.subject_type}", {"key": key, "value": msgspec.json.encode(value)})
