"""One round: play, strike, let everything come to rest, check."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.faults.checking import Violation, violations
from tests.faults.facts import read_facts, unheard
from tests.faults.ground import Ground
from tests.faults.history import History
from tests.faults.listening import Listeners, listeners
from tests.faults.players import Play
from tests.faults.scene import NOTHING, Fault, Scene

SETTLE_SECONDS = 240.0
# What is still under way: a statement that counts it.
UNDER_WAY = {
    "orders that wait for their confirmation": "SELECT count(*) FROM orders_order WHERE state = 'PENDING_CONFIRMATION'",
    "orders that wait for their payment": "SELECT count(*) FROM orders_order WHERE state = 'CONFIRMED'",
    "payments that are open": "SELECT count(*) FROM payments_payment WHERE state = 'REQUESTED'",
    "money to be given back": "SELECT count(*) FROM payments_payment WHERE refund_due_at IS NOT NULL",
    "events without a place in the feed": "SELECT count(*) FROM eventlog_event WHERE position IS NULL",
    "events that wait for another try": "SELECT count(*) FROM reactions_retry",
    "webhook deliveries under way": "SELECT count(*) FROM webhooks_delivery WHERE outcome = 'pending'",
}


@dataclass(frozen=True)
class Outcome:
    """What came of a round. Times in seconds; `repaired` is from the end of the game until all was settled."""

    fault: str
    seed: int
    requests: int
    unknown: int
    refused: int
    seconds: float
    repaired: float
    struck: dict[str, int]
    violations: list[Violation]


def play_round(ground: Ground, fault: Fault, seed: int, folder: Path) -> Outcome:
    """Play one round of a fault on a stack that is well, and leave it well."""
    began = time.monotonic()
    ground.wait_well()
    chance = random.Random(f"{fault.name} {seed}")  # noqa: S311  # repeatable on purpose
    found_before = ground.reconciled()
    with (
        History(folder / f"{fault.name}-{seed}.jsonl") as history,
        fault.setting(ground, chance) as (urls, given),
    ):
        play = Play(f"{fault.name} {seed}", history, urls, ground.url)
        play.gather()
        with listeners(ground, play) as hearing:
            scene = Scene(ground, chance, seed, play, hearing.tail)
            windows = strike_amid(play, scene, fault, given)
            over = time.monotonic()
            well_at = ground.wait_well()
            play.settle_unknown()
            left = settle(ground)
            repaired = time.monotonic() - over
            play.probe_dead_tokens()
            shown = play.read_views()
            hearing.wait_until_told(whole=fault.whole)
            live, hooked, passed_by = hearing.live(), hearing.hooked(), hearing.passed_by()
    with ground.database() as at:
        facts = read_facts(lambda sql, *given: at.execute(sql.encode(), given or None).fetchall(), play.users)
    facts.windows, facts.disturbed, facts.well_at, facts.left = windows, fault.disturbs, well_at, left
    facts.listed, facts.shown_feeds = shown["listed"], shown["feeds"]
    facts.live, facts.hooked, facts.passed_by = live, hooked, passed_by if fault.whole else []
    count_heard(scene, hearing, passed_by)
    scene.struck["events found by the reconciler"] += ground.reconciled() - found_before
    asked = history.asked
    return Outcome(
        fault=fault.name, seed=seed, requests=len(asked), unknown=sum(one.status is None for one in asked),
        refused=sum(one.status == 503 for one in asked), seconds=round(time.monotonic() - began, 1),
        repaired=round(repaired, 1), struck={name: n for name, n in scene.struck.items() if n},
        violations=violations(asked, facts),
    )  # fmt: skip


def count_heard(scene: Scene, hearing: Listeners, passed_by: list[str]) -> None:
    """Count what the listeners saw of the strike."""
    sent = hearing.hooked().ids
    scene.struck["entries that told an event again"] += hearing.tail.again
    scene.struck["events that came by no stream"] += len(passed_by)
    scene.struck["live connections"] += hearing.ear.connections
    scene.struck["events sent to the webhook again"] += len(sent) - len(set(sent))


def strike_amid(play: Play, scene: Scene, fault: Fault, given: object) -> list[tuple[float, float]]:
    """Let everybody play, strike, let them play on; the spans in which the API may fail."""
    play.start()
    try:
        time.sleep(scene.chance.uniform(1.0, 2.5))
        start = time.time()
        fault.strike(scene, given)
        time.sleep(scene.chance.uniform(1.0, 2.0))
    finally:
        play.stop()
    if fault.disturbs == NOTHING:
        return []
    return [(start, scene.recovered_at or scene.ground.wait_well())]


def settle(ground: Ground) -> dict[str, Any]:
    """Wait until nothing is under way; what still is when that takes too long."""
    until = time.monotonic() + SETTLE_SECONDS
    left: dict[str, Any] = {"everything": "never asked"}
    while left and time.monotonic() < until:
        time.sleep(0.3)
        with suppress(psycopg.Error, redis.RedisError):
            left = under_way(ground)
    return left


def under_way(ground: Ground) -> dict[str, Any]:
    """What is not done yet."""
    with ground.database() as at:
        found = {what: _one(at, sql) for what, sql in UNDER_WAY.items()}
        missing = unheard(lambda sql, *given: at.execute(sql.encode(), given or None).fetchall())
    with ground.streams() as client:
        pending = {
            f"entries of {stream.decode()} that {group['name'].decode()} has not acknowledged": int(group["pending"])
            for stream in client.keys("souk.events.*")
            for group in client.xinfo_groups(stream)
        }
    found["events that nobody has heard"] = len(missing)
    return {what: count for what, count in {**found, **pending}.items() if count}


def _one(at: psycopg.Connection[Any], sql: str) -> int:
    row = at.execute(sql.encode()).fetchone()
    assert row is not None
    return int(row[0])
