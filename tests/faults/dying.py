"""Faults 1, 2, 3, 8 and 11: processes that are killed, or stand still and go on."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg

from tests.faults.ground import WELL_SECONDS, Ground, freeze, freeze_at_rest, thaw
from tests.faults.scene import Scene
from tests.faults.wires import AckKiller, running
from tests.stack.private import wait_for

POOL_SECONDS = 5.0
API_WORKERS, CALM_SECONDS = 2, 4.0
# Who hears of payments, as souk/reactions names and numbers them.
GROUPS = {"payments": 1, "orders": 2}


def kill_api_workers(scene: Scene, _: object) -> None:
    """Kill one of the processes that answer requests, again and again; now and then all of them, and the live one."""
    for _ in range(4):
        with suppress(AssertionError):
            wait_for(lambda: bool(scene.ground.api_workers()), what="an API process is back", seconds=20)
        workers = scene.ground.api_workers()
        victims = workers if scene.chance.random() < 0.25 else scene.chance.sample(workers, min(1, len(workers)))
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                scene.struck["API processes killed"] += 1
        time.sleep(scene.chance.uniform(0.6, 1.6))
    if scene.chance.random() < 0.5:
        scene.ground.kill("live")
        scene.struck["live processes killed"] += 1
    _wait_until_calm(scene.ground)


def _wait_until_calm(ground: Ground) -> None:
    """A server whose processes die young gives up, up to 8 s later: until then it is not over although it answers."""
    known: list[int] = []
    since = time.monotonic()

    def is_calm() -> bool:
        nonlocal known, since
        workers = ground.api_workers()
        if len(workers) < API_WORKERS or workers != known:
            known, since = workers, time.monotonic()
        return time.monotonic() - since > CALM_SECONDS

    wait_for(is_calm, what="the API has all of its processes, and keeps them", seconds=WELL_SECONDS)


def kill_the_database(scene: Scene, _: object) -> None:
    """Kill the postmaster; what it started dies by itself or is ended by the supervisor."""
    connections = scene.ground.connections()
    before = scene.ground.kill("postgres")
    scene.struck["postmasters killed"] += 1
    scene.struck["connections cut"] += connections
    scene.ground.stack.wait_restarted("postgres", than=before, seconds=WELL_SECONDS)
    wait_for(lambda: _answers(scene.ground), what="the database answers", seconds=120)
    scene.recovered_at = time.time() + POOL_SECONDS
    time.sleep(POOL_SECONDS)


def _answers(ground: Ground) -> bool:
    with suppress(psycopg.Error):
        return bool(ground.rows("SELECT 1"))
    return False


def kill_capture(scene: Scene, _: object) -> None:
    """Kill Debezium's process when a batch has arrived in the streams and how far it is cannot be stored yet."""
    pid, before = scene.ground.pid("capture"), scene.tail.again
    with scene.ground.database(called="a lock on the stored offset") as holder:
        holder.autocommit = False
        # Storing takes a few milliseconds; with this it takes as long as we want.
        holder.execute("LOCK TABLE debezium_offset IN EXCLUSIVE MODE")
        known = scene.tail.told.total()
        with suppress(AssertionError):
            wait_for(lambda: scene.tail.told.total() > known, what="a batch arrives", seconds=8)
        time.sleep(scene.chance.choice([0, 0.002, 0.1, 0.5]))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            scene.struck["captures killed"] += 1
        holder.rollback()
    scene.ground.stack.wait_restarted("capture", than=pid, seconds=WELL_SECONDS)
    wait_for(lambda: _is_caught_up(scene), what="capture reads again", seconds=120)
    scene.struck["events read again"] += scene.tail.again - before


def _is_caught_up(scene: Scene) -> bool:
    newest = "SELECT id::text FROM eventlog_event WHERE subject_type = 'order' ORDER BY n DESC LIMIT 1"
    return bool(scene.tail.told[str(scene.ground.value(newest))])


@contextmanager
def worker_behind_a_wire(ground: Ground, chance: random.Random) -> Iterator[tuple[Sequence[str], object]]:
    """A wire to the streams for a worker that is to be killed at its XACK."""

    def had_an_effect(stream: str, group: str, entry: str) -> bool:
        with ground.streams() as client:
            found = client.xrange(stream, entry, entry)
        heard = "SELECT 1 FROM reactions_processed WHERE consumer = %s AND event_id = %s"
        events = [str(json.loads(fields[b"value"])["id"]) for _, fields in found]
        return any(ground.rows(heard, GROUPS.get(group), event) for event in events)

    with running((killer := AckKiller(_streams_at(ground), had_an_effect)).wire):
        yield [ground.url], killer


def _streams_at(ground: Ground) -> tuple[str, int]:
    with ground.streams() as client:
        at = client.connection_pool.connection_kwargs
        return str(at["host"]), int(at["port"])


def kill_workers_at_their_acknowledgement(scene: Scene, given: object) -> None:
    """Let a worker of ours hear alone, and kill it between the commit of an effect and XACK, or right after XACK."""
    assert isinstance(given, AckKiller)
    ground = scene.ground
    url = ground.stack.environment["SOUK_REDIS_URL"]
    own = ground.pid("worker")
    freeze_at_rest(ground, own)
    try:
        for place in range(2):
            behind = url.replace(f":{_streams_at(ground)[1]}/", f":{given.wire.port}/")
            with ground.process("worker", SOUK_REDIS_URL=behind) as worker:
                before = place == 0
                given.aim(worker.pid, after=scene.chance.randint(1, 6), before=before)
                wait_for(lambda: not given.aims, what="the worker acknowledges something", seconds=90)
                worker.wait(30)
                scene.struck["killed before XACK" if before else "killed after XACK"] += 1
            scene.struck["effects without XACK"] += _unacknowledged(ground)
    finally:
        thaw([own])


def _unacknowledged(ground: Ground) -> int:
    """How many entries are pending although their event was heard."""
    with ground.streams() as client:
        pending = [
            (one["message_id"], number)
            for number, group in ((number, group) for group, number in GROUPS.items())
            for one in client.xpending_range("souk.events.payment", group, "-", "+", 1000)
        ]
    told = {entry.encode(): event for entry, event, _ in ground.entries("payment", last=2000)}
    heard = ground.rows(
        "SELECT consumer, event_id::text FROM reactions_processed WHERE event_id = ANY(%s::uuid[])",
        [told[entry] for entry, _ in pending if entry in told],
    )
    return sum((number, told.get(entry)) in set(heard) for entry, number in pending)


def freeze_at_random(scene: Scene, _: object) -> None:
    """Stop random parts, one after the other, and let them go on in another order; meanwhile a stock lock is held."""
    ground, chance = scene.ground, scene.chance
    parts = {
        "api": ground.api_workers()[:1], "clock": [ground.pid("clock")], "worker": [ground.pid("worker")],
        "capture": [ground.pid("capture")], "postgres": [],
    }  # fmt: skip
    chosen = chance.sample(sorted(parts), chance.randint(2, len(parts)))
    holders: list[psycopg.Connection[object]] = []
    try:
        for name in chosen:
            pids = parts[name] or [_hold_stock(scene, holders)]
            parts[name] = pids
            freeze(pids)
            scene.struck[f"{'stock locks held' if name == 'postgres' else name + ' frozen'}"] += 1
            scene.struck["processes frozen"] += len(pids)
            time.sleep(chance.uniform(0.3, 2.0))
        time.sleep(chance.uniform(1, 8))
    finally:
        for name in chance.sample(chosen, len(chosen)):
            thaw(parts[name])
            time.sleep(chance.uniform(0, 0.5))
        for holder in holders:
            with suppress(psycopg.Error):
                holder.close()
    most = ground.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'souk api'")
    assert most <= 2 * 5, f"the API has {most} connections, its pools have 10"
    scene.struck["lock timeouts"] += sum(one.status == 503 for one in scene.play.history.asked)


def _hold_stock(scene: Scene, holders: list[psycopg.Connection[object]]) -> int:
    """A server process in the middle of a transaction that has locked half of the stock; its pid."""
    holder = scene.ground.database(called="a transaction that stands still")
    holders.append(holder)
    holder.autocommit = False
    holder.execute("SET lock_timeout = '2s'")
    half = scene.play.products[::2]
    with suppress(psycopg.errors.LockNotAvailable):
        holder.execute("SELECT 1 FROM stock_stock WHERE product_id = ANY(%s::uuid[]) FOR NO KEY UPDATE", [half])
    return holder.info.backend_pid
