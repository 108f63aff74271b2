"""The streams are cut below what every group has acknowledged, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from souk.reactions.trimming import KEPT_SECONDS, trim_streams
from tests.hearers import sample_consumer
from tests.streams import running_valkey

STREAM, OTHER, BEATS = "souk.events.sample", "souk.events.product", "__debezium-heartbeat.souk"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as client:
        yield client


@pytest.fixture
def streams(server: redis.Redis) -> Any:
    server.flushall()
    return server


def fill(streams: Any, stream: str, *ids: str) -> None:
    for entry_id in ids:
        streams.xadd(stream, {"value": "x"}, id=entry_id)


def left(streams: Any, stream: str) -> list[str]:
    return [entry_id.decode() for entry_id, _ in streams.xrange(stream)]


def read(streams: Any, group: str, count: int) -> None:
    streams.xreadgroup(group, "reader", {STREAM: ">"}, count=count)


def trim(streams: Any) -> int:
    return trim_streams([sample_consumer()], client=streams)


def test_the_slowest_group_decides(streams: Any) -> None:
    fill(streams, STREAM, "1-0", "1-1", "2-0", "10-0", "11-0")
    for group in ("samples", "another"):
        streams.xgroup_create(STREAM, group, id="0")
    assert trim(streams) == 0
    read(streams, "samples", 5)
    read(streams, "another", 3)
    streams.xack(STREAM, "samples", "1-0", "1-1", "2-0", "10-0", "11-0")
    streams.xack(STREAM, "another", "1-0", "2-0")
    # What was given and not acknowledged is needed, and everything behind it.
    assert trim(streams) == 1
    assert left(streams, STREAM) == ["1-1", "2-0", "10-0", "11-0"]
    streams.xack(STREAM, "another", "1-1")
    assert trim(streams) == 1
    assert left(streams, STREAM) == ["2-0", "10-0", "11-0"]
    # The group that lags still gets all that it was not given.
    read(streams, "another", 9)
    assert streams.xpending(STREAM, "another")["pending"] == 2


def test_a_stream_without_the_group_of_one_of_our_consumers_is_left_whole(streams: Any) -> None:
    fill(streams, STREAM, "1-0", "2-0")
    streams.xgroup_create(STREAM, "another", id="$")
    assert trim(streams) == 0
    streams.xgroup_create(STREAM, "samples", id="$")
    assert trim(streams) == 1
    assert left(streams, STREAM) == ["2-0"]


def test_a_stream_that_no_group_reads_keeps_the_last_minutes(streams: Any) -> None:
    now = streams.time()[0]
    old, young = f"{(now - KEPT_SECONDS - 60) * 1000}-0", f"{(now - KEPT_SECONDS + 60) * 1000}-0"
    for stream in (OTHER, BEATS):
        fill(streams, stream, "1-0", old, young)
    streams.set("souk.events.nothing", "no stream")
    assert trim(streams) == 4
    assert [left(streams, stream) for stream in (OTHER, BEATS)] == [[young], [young]]


def test_a_group_that_was_lost_is_made_again_and_nothing_is_cut_meanwhile(streams: Any) -> None:
    fill(streams, STREAM, "1-0", "2-0", "3-0")
    streams.xgroup_create(STREAM, "samples", id="0")
    read(streams, "samples", 2)
    streams.xgroup_destroy(STREAM, "samples")
    assert trim(streams) == 0
    assert left(streams, STREAM) == ["1-0", "2-0", "3-0"]
