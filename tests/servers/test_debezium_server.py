"""Debezium Server as in production: it writes what the engine writes, and each goes on where the other stopped."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from souk.stack.home import Home
from tests.servers.debeziums import Shop, shop_of_its_own, trade
from tests.stack.private import wait_for

# The same transactions a second time: a slot, an offset and a database of streams of its own.
SECOND = {
    "DEBEZIUM_SOURCE_SLOT_NAME": "souk_second",
    "DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_TABLE_NAME": "debezium_offset_second",
    "DEBEZIUM_SINK_REDIS_DB_INDEX": "1",
}


@pytest.fixture(scope="module")
def shop(asked_for: None) -> Iterator[Shop]:
    home = Path(tempfile.mkdtemp(prefix="souk-debezium-"))
    with shop_of_its_own(home) as made:
        yield made
    shutil.rmtree(home, ignore_errors=True)


def events(shop: Shop) -> int:
    return int(shop.row("SELECT count(*) FROM eventlog_event")[0])


def captured(shop: Shop, database: int = 0) -> list[str]:
    """The ids of the events in the streams, each the first time it came, per stream in order."""
    told = shop.entries(database)
    ids = [json.loads(value)["id"] for entries in told.values() for _, value in entries]
    return list(dict.fromkeys(ids))


def expected_order(shop: Shop) -> dict[str, list[str]]:
    """Per stream the events of each subject as the log numbers them."""
    found: dict[str, list[str]] = {}
    with psycopg.connect(shop.owner) as at:
        asked = "SELECT subject_type, id::text FROM eventlog_event ORDER BY subject_type, subject_id, sequence"
        for kind, event_id in at.execute(asked):
            found.setdefault(f"souk.events.{kind}", []).append(event_id)
    return found


def by_subject(entries: list[tuple[bytes, bytes]]) -> list[str]:
    """The ids of a stream's events, subject by subject, each the first time it came."""
    told: dict[str, list[str]] = {}
    for _, value in entries:
        event: dict[str, Any] = json.loads(value)
        told.setdefault(event["subject_id"], []).append(event["id"])
    return [one for subject in sorted(told) for one in dict.fromkeys(told[subject])]


def make_second(shop: Shop) -> None:
    with psycopg.connect(shop.owner, autocommit=True) as at:
        at.execute("CREATE TABLE debezium_offset_second (LIKE debezium_offset INCLUDING ALL)")
        at.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON debezium_offset_second TO souk_cdc")
    replicate(shop, "SELECT pg_create_logical_replication_slot('souk_second', 'pgoutput')")


def replicate(shop: Shop, statement: LiteralString) -> None:
    """A statement of the role that may use replication slots."""
    secret = Home(shop.home).secrets()["souk_cdc"]
    with psycopg.connect(shop.owner, user="souk_cdc", password=secret, autocommit=True) as at:
        at.execute(statement)


def test_the_server_writes_what_the_embedded_engine_writes_in_the_same_order(shop: Shop) -> None:
    make_second(shop)
    with shop.engine(), shop.server(**SECOND), shop.api() as client:
        for number in range(4):
            trade(client, f"parity-{number}")
        wait_for(lambda: len(captured(shop)) == events(shop) > 60, what="the engine has read everything")
        wait_for(lambda: len(captured(shop, 1)) == events(shop), what="the server has read everything")
    engine, server = shop.entries(0), shop.entries(1)
    assert engine.keys() == {f"souk.events.{kind}" for kind in ("user", "product", "order", "payment")}
    assert server == engine
    replicate(shop, "SELECT pg_drop_replication_slot('souk_second')")


def test_each_goes_on_where_the_other_stopped_and_nothing_is_lost(shop: Shop) -> None:
    with shop.api() as client:
        for number, run in enumerate((shop.engine, shop.server, shop.engine, shop.server)):
            trade(client, f"between-{number}", orders=1)  # while nobody captures
            with run():
                trade(client, f"during-{number}", orders=1)
                wait_for(lambda: len(captured(shop)) == events(shop), what="everything is captured")
    told = {stream: by_subject(entries) for stream, entries in shop.entries().items()}
    assert told == expected_order(shop)
    assert shop.row("SELECT count(*) FROM debezium_offset") == (1,)


def test_a_server_that_is_killed_under_load_loses_nothing(shop: Shop) -> None:
    with shop.api() as client:
        for number in range(3):
            with shop.server() as process:
                trade(client, f"killed-{number}", orders=4)
                process.kill()
                trade(client, f"dead-{number}", orders=2)
        with shop.server():
            wait_for(lambda: len(captured(shop)) == events(shop), what="everything is captured")
    told = {stream: by_subject(entries) for stream, entries in shop.entries().items()}
    assert told == expected_order(shop)
