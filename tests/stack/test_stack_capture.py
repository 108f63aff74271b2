"""Debezium's property file for the embedded engine, and the writer of the streams against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from souk.stack.capture import NotWritten, StreamWriter, stream_client
from souk.stack.debezium import (
    capture_conninfo,
    engine_properties,
    environment_for,
    property_file,
    read_properties,
)
from souk.stack.engine import Addition
from souk.stack.home import Home, free_port
from souk.stack.identity import die_with_parent
from souk.stack.valkey import STREAMS, Valkey, valkey
from tests.stack.private import wait_for


def addition(stream: str, text: str) -> Addition:
    """An entry of our own."""
    return Addition(stream, f'"{text}"', text)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """The stream server of the stack, alone."""
    home = Home(tmp_path)
    home.make()
    found = Valkey(home=home, name="streams", keeps=STREAMS, port=free_port(), password="secret")
    service = valkey(found)
    service.prepare()
    with subprocess.Popen(
        service.argv,
        env=dict(service.env),
        stdout=subprocess.DEVNULL,
        preexec_fn=die_with_parent(os.getpid(), service.stop),  # noqa: PLW1509 - no thread runs here
    ) as process:
        wait_for(service.ready, what="the server answers")
        yield found
        process.terminate()


@pytest.fixture
def client(server: Valkey) -> Iterator[redis.Redis]:
    """A client made from the properties that a Debezium Server would read."""
    environment = environment_for(
        database_url="postgresql://souk_cdc@127.0.0.1:1/souk", redis_url=server.url(), given={}
    )
    with stream_client(read_properties(property_file(), environment)) as found:
        yield found


def entries(client: Any, stream: str) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in client.xrange(stream)]


def values(client: redis.Redis, stream: str) -> list[bytes]:
    return [fields[b"value"] for fields in entries(client, stream)]


def make_replica_of(client: Any, *master: str) -> None:
    client.execute_command("REPLICAOF", *master)


def test_entries_carry_key_and_value(client: redis.Redis) -> None:
    StreamWriter(client).add([addition("souk.events.order", "ä"), addition("souk.events.product", "b")])
    assert entries(client, "souk.events.order") == [{b"key": '"ä"'.encode(), b"value": "ä".encode()}]
    assert entries(client, "souk.events.product") == [{b"key": b'"b"', b"value": b"b"}]


def test_batches_are_read_whole_without_heartbeats_and_marked_only_when_they_were_taken(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.stack.batches"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {
        "read": [
            ["souk.events.order", '{"subject_id":"ä"}', '{"payload":"{\\"title\\":\\"Käse\\\\n\\"}"}'],
            ["souk.events.product", "default", "default"],
        ],
        "taken": 2,
        "marked": ["souk.events.product", "finished"],
        "marked_though_refused": [],
        "taken_after_a_refusal": 0,
        "marked_after_a_refusal": [],
        "failure": "2 refused",
        "interrupted": True,
    }


def test_a_full_server_takes_no_part_of_a_batch_and_the_writer_fails(client: redis.Redis) -> None:
    writer = StreamWriter(client)
    writer.add([addition("souk.events.order", "before")])
    client.config_set("maxmemory", "1")
    with pytest.raises((NotWritten, redis.RedisError)):
        writer.add([addition("souk.events.order", "x" * 1000), addition("souk.events.order", "y")])
    client.config_set("maxmemory", "0")
    assert values(client, "souk.events.order") == [b"before"]
    writer.add([addition("souk.events.order", "after")])
    assert values(client, "souk.events.order") == [b"before", b"after"]


def test_a_server_that_became_a_replica_makes_the_writer_fail(client: redis.Redis) -> None:
    make_replica_of(client, "127.0.0.1", "1")
    with pytest.raises((NotWritten, redis.RedisError)):
        StreamWriter(client).add([addition("souk.events.order", "x")])
    make_replica_of(client, "NO", "ONE")
    assert client.exists("souk.events.order") == 0


def test_a_stream_of_another_type_makes_the_writer_fail(client: redis.Redis) -> None:
    client.set("souk.events.order", "a string")
    with pytest.raises(NotWritten, match=r"souk\.events\.order refused an entry: WRONGTYPE"):
        StreamWriter(client).add([addition("souk.events.order", "x")])


def test_variables_go_over_the_property_file_as_debezium_server_maps_them() -> None:
    found = read_properties(
        property_file(),
        {
            "DEBEZIUM_SOURCE_DATABASE_PORT": "6000",
            "DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_CONNECTION_URL": "jdbc:postgresql://db/souk",
            "DEBEZIUM_SOURCE_DATABASE_PASSWORD": "secret",
            "OTHER": "x",
        },
    )
    assert found["debezium.source.database.port"] == "6000"
    assert found["debezium.source.offset.storage.jdbc.connection.url"] == "jdbc:postgresql://db/souk"
    assert found["debezium.source.database.password"] == "secret"
    assert "OTHER" not in found


def test_the_engine_is_told_what_a_debezium_server_reads_in_the_same_file() -> None:
    engine = engine_properties(read_properties(property_file(), {}))
    assert engine["name"] == "redis"
    assert engine["connector.class"] == "io.debezium.connector.postgresql.PostgresConnector"
    assert engine["slot.name"] == "souk"
    assert engine["transforms"] == "outbox"
    assert engine["transforms.outbox.route.topic.replacement"] == "souk.events.$1"
    assert engine["value.converter.schemas.enable"] == "false"
    assert not [name for name in engine if name.startswith(("debezium.", "quarkus.", "sink."))]


def test_no_value_of_the_property_file_stops_the_expander_of_debezium_server() -> None:
    assert [name for name, value in read_properties(property_file(), {}).items() if "${" in value] == []


def test_addresses_become_debezium_variables_and_come_back_as_the_same_address() -> None:
    environment = environment_for(
        database_url="postgresql://cdc:p%40ss@db.example:5433/shop?sslmode=require",
        redis_url="rediss://user:p%2Fw@streams.example:6390/2",
        given={},
    )
    assert environment["DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_CONNECTION_URL"] == (
        "jdbc:postgresql://db.example:5433/shop?sslmode=require"
    )
    assert {name: value for name, value in environment.items() if "_SINK_" in name} == {
        "DEBEZIUM_SINK_REDIS_ADDRESS": "streams.example:6390",
        "DEBEZIUM_SINK_REDIS_DB_INDEX": "2",
        "DEBEZIUM_SINK_REDIS_USER": "user",
        "DEBEZIUM_SINK_REDIS_PASSWORD": "p/w",
        "DEBEZIUM_SINK_REDIS_SSL_ENABLED": "true",
    }
    conninfo = capture_conninfo(read_properties(property_file(), environment))
    assert conninfo == "host=db.example port=5433 dbname=shop user=cdc password=p@ss sslmode=require"


def test_a_capture_role_that_the_operator_names_is_used_for_the_stored_offset_too() -> None:
    given = {"DEBEZIUM_SOURCE_DATABASE_USER": "cdc", "DEBEZIUM_SOURCE_DATABASE_PASSWORD": "other", "PATH": "/bin"}
    environment = environment_for(
        database_url="postgresql://souk:secret@db/souk", redis_url="redis://streams/0", given=given
    )
    assert {name: value for name, value in environment.items() if name.endswith(("_USER", "_PASSWORD"))} == {
        "DEBEZIUM_SOURCE_DATABASE_USER": "cdc",
        "DEBEZIUM_SOURCE_DATABASE_PASSWORD": "other",
        "DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_CONNECTION_USER": "cdc",
        "DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_CONNECTION_PASSWORD": "other",
    }
    assert "PATH" not in environment
