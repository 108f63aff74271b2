"""Faults 4, 5, 6, 7, 9 and 10: what can happen to the streams and to Debezium's place in the log."""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import pairwise
from typing import Any

import psycopg
import redis

from tests.faults.ground import STREAMS, WELL_SECONDS, Ground, errors_of, freeze_at_rest, thaw
from tests.faults.scene import Scene
from tests.stack.private import wait_for

READ_ONLY_SECONDS = 20.0
FULL_SECONDS = 6.0
WINDOW = 50


def kill_the_streams(scene: Scene, _: object) -> None:
    """Kill Valkey: by the seed with every write on its disk, with the last second at risk, or with no file at all."""
    way = ("always", "everysec", "no file")[scene.seed % 3]
    with scene.ground.streams() as client:
        if way == "everysec":
            client.config_set("appendfsync", "everysec")
        elif way == "no file":
            client.config_set("appendonly", "no")
        time.sleep(2)
        before = _lengths(client)
        scene.struck["connections cut"] += len(client.client_list()) - 1
    pid = scene.ground.kill("streams")
    scene.struck[f"Valkey killed ({way})"] += 1
    scene.struck["servers killed"] += 1
    scene.ground.stack.wait_restarted("streams", than=pid, seconds=WELL_SECONDS)
    with scene.ground.streams() as client:
        scene.struck["entries lost"] += max(0, before - _lengths(client))
    if scene.chance.random() < 0.5:
        scene.ground.kill("cache")
        scene.struck["caches killed"] += 1


def _lengths(client: Any) -> int:
    return sum(int(client.xlen(f"souk.events.{stream}")) for stream in STREAMS)


def flush_the_streams(scene: Scene, _: object) -> None:
    """Wipe the server, or delete the streams with their groups, while entries wait to be heard."""
    worker = scene.ground.pid("worker")
    freeze_at_rest(scene.ground, worker)
    try:
        time.sleep(scene.chance.uniform(1.0, 2.0))
        with scene.ground.streams() as client:
            scene.struck["unheard entries wiped"] += sum(
                int(group["lag"] or 0) + int(group["pending"])
                for group in client.xinfo_groups("souk.events.payment")
                if group["name"] in (b"payments", b"orders")
            )
            if scene.seed % 2:
                client.flushall()
                scene.struck["FLUSHALL"] += 1
            else:
                client.delete(*(f"souk.events.{stream}" for stream in STREAMS))
                scene.struck["streams deleted"] += 1
    finally:
        thaw([worker])
    scene.struck["wiped"] += 1


def fill_the_streams(scene: Scene, _: object) -> None:
    """Let the server be full: its memory, or by the seed the disk of its append-only file."""
    if scene.ground.disk and scene.seed % 2 == 0:
        _fill_the_disk(scene)
        return
    with scene.ground.streams() as client:
        client.config_set("maxmemory", "1")
        time.sleep(FULL_SECONDS)
        scene.struck["writes refused"] += errors_of(client, "OOM")
        scene.struck["bytes of log held back"] += _held_back(scene.ground)
        client.config_set("maxmemory", "256mb")
        client.config_resetstat()
    scene.struck["full memories"] += 1
    scene.struck["times full"] += 1


def _fill_the_disk(scene: Scene) -> None:
    assert scene.ground.disk is not None
    before = scene.ground.stack.service("streams")["restarts"]
    filler = scene.ground.disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * (1 << 16))
    time.sleep(FULL_SECONDS)
    scene.struck["bytes of log held back"] += _held_back(scene.ground)
    filler.unlink()
    # What the server does when it cannot write its file with `always` is to end; it comes back once there is room.
    scene.struck["servers ended by a full disk"] += scene.ground.stack.service("streams")["restarts"] - before
    scene.struck["full disks"] += 1
    scene.struck["times full"] += 1


def _held_back(ground: Ground) -> int:
    held = ground.value(
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint"
        "  FROM pg_replication_slots WHERE slot_name = 'souk'"
    )
    return int(held or 0)


def make_the_streams_read_only(scene: Scene, _: object) -> None:
    """The server becomes the replica of a host that is dead: it answers PING and refuses every write."""
    with scene.ground.streams() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        time.sleep(READ_ONLY_SECONDS)
        scene.struck["writes refused"] += errors_of(client, "READONLY")
        client.execute_command("REPLICAOF", "NO", "ONE")
        client.config_resetstat()


def deliver_twice(scene: Scene, _: object) -> None:
    """Add a tenth of all entries a second time, and set Debezium back to where it was some seconds ago."""
    ground = scene.ground
    saved = _remember_place(ground)
    time.sleep(3)
    with ground.streams() as client:
        for stream in ("order", "payment"):
            entries = ground.entries(stream, last=600)
            for _, _, fields in scene.chance.sample(entries, max(1, len(entries) // 10)):
                client.xadd(f"souk.events.{stream}", dict(fields))
                scene.struck["entries added again"] += 1
    pid = ground.kill("capture")
    _set_back(ground, saved)
    time.sleep(0.5)  # what was added before is read by now
    before = scene.tail.again
    ground.stack.wait_restarted("capture", than=pid, seconds=WELL_SECONDS)
    with suppress(AssertionError):
        wait_for(lambda: scene.tail.again > before, what="the log is read again", seconds=15)
    time.sleep(1)
    scene.struck["events read again"] += scene.tail.again - before


def _remember_place(ground: Ground) -> list[tuple[Any, ...]]:
    with ground.database() as at, suppress(psycopg.errors.UndefinedObject):
        at.execute("SELECT pg_drop_replication_slot('souk_before')")
    ground.rows("SELECT pg_copy_logical_replication_slot('souk', 'souk_before')")
    return ground.rows("SELECT * FROM debezium_offset")


def _set_back(ground: Ground, saved: list[tuple[Any, ...]]) -> None:
    with ground.database() as at:
        wait_for(lambda: _dropped(at), what="the slot is free", seconds=30)
        at.execute("SELECT pg_copy_logical_replication_slot('souk_before', 'souk')")
        at.execute("SELECT pg_drop_replication_slot('souk_before')")
        at.execute("DELETE FROM debezium_offset")
        for row in saved:
            marks = ", ".join(["%s"] * len(row))
            at.execute(b"INSERT INTO debezium_offset VALUES (" + marks.encode() + b")", row)


def _dropped(at: psycopg.Connection[Any]) -> bool:
    at.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'souk' AND active")
    with suppress(psycopg.errors.ObjectInUse):
        at.execute("SELECT pg_drop_replication_slot('souk')")
        return True
    return False


def shuffle_the_streams(scene: Scene, _: object) -> None:
    """Take the newest fifty entries out of each stream and put them back in another order, while a worker stands."""
    ground = scene.ground
    worker = ground.pid("worker")
    for _ in range(2):
        freeze_at_rest(ground, worker)
        try:
            time.sleep(scene.chance.uniform(0.8, 1.5))
            with ground.streams() as client:
                for stream in STREAMS:
                    _shuffle(scene, client, stream)
        finally:
            thaw([worker])
        time.sleep(1)


def _shuffle(scene: Scene, client: redis.Redis, stream: str) -> None:
    entries = scene.ground.entries(stream, last=WINDOW)
    if not entries:
        return
    client.xdel(f"souk.events.{stream}", *(entry for entry, _, _ in entries))
    places = scene.chance.sample(range(len(entries)), len(entries))
    for place in places:
        client.xadd(f"souk.events.{stream}", dict[Any, Any](entries[place][2]))
    scene.struck["entries moved"] += sum(place != now for now, place in enumerate(places))
    scene.struck["pairs out of order"] += sum(one > other for one, other in pairwise(places))
