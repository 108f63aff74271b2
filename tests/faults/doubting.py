"""Faults 12 to 15: unknown outcomes of commits, wrong clocks, a hot race, a lost slot."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from tests.faults.ground import Ground, freeze, thaw
from tests.faults.history import Asked, Voice
from tests.faults.players import Player
from tests.faults.scene import Scene
from tests.faults.wires import CommitCutter, running
from tests.stack.private import wait_for

CUT_SECONDS = 6.0
SKEW_SECONDS = 600
CLIENTS, HOT_STOCK = 200, 50
SOLD_SECONDS = 180.0


@contextmanager
def api_behind_a_wire(ground: Ground, chance: random.Random) -> Iterator[tuple[Sequence[str], object]]:
    """An API process that reaches the database through a wire which can be cut."""
    url = ground.stack.environment["SOUK_DATABASE_URL"]
    port = urlsplit(url).port or 5432
    with running((cutter := CommitCutter(("127.0.0.1", port), chance)).wire):
        behind = url.replace(f":{port}/", f":{cutter.wire.port}/")
        with ground.more_api(SOUK_DATABASE_URL=behind) as api:
            yield [api], cutter


def cut_after_commit(scene: Scene, given: object) -> None:
    """Cut connections to the database right after COMMIT was sent: whether it took effect is unknown to the API."""
    assert isinstance(given, CommitCutter)
    given.armed = True
    time.sleep(CUT_SECONDS)
    given.armed = False
    scene.struck["connections cut after COMMIT"] += given.cuts
    ids = [asked.user for asked in scene.play.history.asked if asked.status in (None, 503)]
    scene.struck["requests of unknown outcome"] += len(ids)
    keys = {asked.key for asked in scene.play.history.asked if asked.status in (None, 503) and asked.key}
    kept = scene.ground.rows("SELECT key FROM kit_idempotentanswer WHERE key = ANY(%s)", sorted(keys))
    scene.struck["of which had taken effect"] += len(kept)


def faketime_library() -> Path | None:
    """libfaketime for programs of several threads, from Debian's package `faketime`."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return found[0] if found else None


def faketime_missing() -> str:
    """Why there are no wrong clocks on this machine."""
    return "" if faketime_library() else "libfaketime is not installed (Debian: package faketime)"


@contextmanager
def clocks_that_are_wrong(ground: Ground, chance: random.Random) -> Iterator[tuple[Sequence[str], object]]:
    """An API process ten minutes ahead and one ten minutes behind, beside the stack's own."""
    with ExitStack() as stack:
        ahead, behind = (
            stack.enter_context(ground.more_api(**wrong_by(seconds))) for seconds in (SKEW_SECONDS, -SKEW_SECONDS)
        )
        yield [ahead, ground.url, behind], None


def wrong_by(seconds: int) -> dict[str, str]:
    """The environment in which a process believes that it is so much later. Pauses keep their length."""
    return {
        "LD_PRELOAD": str(faketime_library()),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }


def let_a_wrong_clock_sweep(scene: Scene, _: object) -> None:
    """Stop the stack's own clock process, and let one sweep that is ten minutes off."""
    ground = scene.ground
    own = ground.pid("clock")
    seconds = scene.chance.choice([SKEW_SECONDS, -SKEW_SECONDS])
    swept = "SELECT count(*) FROM orders_order WHERE reason = 'expired'"
    freeze([own])
    try:
        before = ground.value(swept)
        with ground.process("clock", **wrong_by(seconds)):
            wait_for(lambda: ground.value(swept) > before, what="a wrong clock expires orders", seconds=90)
            time.sleep(4)
        scene.struck["orders expired by a wrong clock"] += ground.value(swept) - before
    finally:
        thaw([own])
    wrong = [one for one in scene.play.history.asked if one.status == 201 and one.path == "/orders"]
    scene.struck["orders placed beside wrong clocks"] += len(wrong)


def race_for_few_units(scene: Scene, _: object) -> None:
    """Two hundred clients want fifty units, while carts, cancels, expiries and a deletion go on around them."""
    play = scene.play
    assert play.seller is not None
    (hot,) = play.offer(1, stock=HOT_STOCK)
    play.products.remove(hot)
    (doomed,) = play.offer(1, stock=HOT_STOCK)
    before = _deadlocks(scene.ground)
    until = time.monotonic() + SOLD_SECONDS
    crowd = CLIENTS
    while crowd:
        with ThreadPoolExecutor(CLIENTS) as pool:
            jobs = [pool.submit(_want, scene, play.buyers[place % len(play.buyers)], hot) for place in range(crowd)]
            if crowd == CLIENTS:
                pool.submit(_delete, scene, play.seller, doomed)
            heard = Counter(str(job.result().code or job.result().status) for job in jobs)
        assert set(heard) <= {"201", "out_of_stock"}, heard
        scene.struck["clients"] += crowd
        scene.struck["refused for want of stock"] += heard["out_of_stock"]
        # Who was too late to confirm has given a unit back: as long as some are left, others want them.
        assert time.monotonic() < until, "the units are not sold"
        crowd = _unsold(scene.ground, hot)
    scene.struck["units sold of 50"] += HOT_STOCK
    scene.struck["deadlocks that PostgreSQL broke"] += _deadlocks(scene.ground) - before


def _unsold(ground: Ground, product: str) -> int:
    """How many units are left once nobody holds one; the accepted orders have all the others."""
    held = "SELECT on_hand, reserved FROM stock_stock WHERE product_id = %s"
    wait_for(lambda: ground.rows(held, product)[0][1] == 0, what="every unit is sold or free", seconds=SOLD_SECONDS)
    left = int(ground.rows(held, product)[0][0])
    sold = ground.value(
        "SELECT coalesce(sum(l.quantity), 0) FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id"
        " WHERE l.product_id = %s AND o.state = 'ACCEPTED'",
        product,
    )
    assert left + sold == HOT_STOCK, f"{sold} units were sold of {HOT_STOCK}, {left} are left"
    return left


def _deadlocks(ground: Ground) -> int:
    return int(ground.value("SELECT deadlocks FROM pg_stat_database WHERE datname = 'souk'"))


def _want(scene: Scene, buyer: Player, hot: str) -> Asked:
    """One unit, and confirmed at once; asked for with one key until told."""
    voice = Voice(scene.ground.url, scene.play.history, role="buyer", user=buyer.user)
    body = {"lines": [{"product_id": hot, "quantity": 1}]}
    ask = partial(voice.send, "POST", "/orders", body, token=buyer.token, key=uuid4().hex)
    asked = _until_told(ask)
    if asked.status == 201:
        card = {"payment": {"method": "card", "token": "tok_ok"}}
        path = f"/orders/{asked.answer['id']}/confirm"
        _until_told(partial(voice.send, "POST", path, card, token=buyer.token, key=uuid4().hex))
    voice.close()
    return asked


def _until_told(ask: partial[Asked]) -> Asked:
    for _ in range(60):
        if (asked := ask()).settled:
            return asked
        time.sleep(0.5)
    raise AssertionError(f"never told: {asked}")


def _delete(scene: Scene, seller: Player, doomed: str) -> Asked:
    time.sleep(0.5)
    voice = Voice(scene.ground.url, scene.play.history, role="seller", user=seller.user)
    asked = voice.send("DELETE", f"/products/{doomed}", token=seller.token)
    voice.close()
    return asked


def lose_the_slot(scene: Scene, _: object) -> None:
    """Stop capture, let the log grow past a tiny max_slot_wal_keep_size until the slot is lost, and let it go on."""
    ground = scene.ground
    pid = ground.pid("capture")
    freeze([pid])
    try:
        ground.rows("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        ground.rows("SELECT pg_reload_conf()")
        wait_for(lambda: _is_lost(ground), what="the slot is lost", seconds=60)
        scene.struck["slots lost"] += 1
        time.sleep(2)
    finally:
        ground.rows("ALTER SYSTEM RESET max_slot_wal_keep_size")
        ground.rows("SELECT pg_reload_conf()")
        thaw([pid])
    alarms = "ALARM: The replication slot souk was lost"
    before = len(ground.log_matches("capture", alarms))
    wait_for(lambda: len(ground.log_matches("capture", alarms)) > before, what="an alarm is raised", seconds=120)
    scene.struck["alarms"] += 1


def _is_lost(ground: Ground) -> bool:
    with ground.database() as at:
        at.execute("SELECT pg_switch_wal()")
        at.execute("CREATE TABLE IF NOT EXISTS public.souk_faults_filler (id int)")
        at.execute("DROP TABLE public.souk_faults_filler")
        at.execute("CHECKPOINT")
        row = at.execute("SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'souk'").fetchone()
        return row is not None and row[0] == "lost"
