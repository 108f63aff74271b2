"""A shop in one file and back: saved while it sells, lost, brought back; and those who listened go on listening."""

from __future__ import annotations

import json
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from souk.stack.backup import DUMP, MANIFEST, read_manifest
from souk.stack.home import Home
from souk.stack.postgres import running_postgres
from souk.stack.service import StackError
from tests.callers import PASSWORD
from tests.receivers import Receiver
from tests.stack.listeners import Caller, listening
from tests.stack.private import SoukStack, wait_for
from tests.streams import running_valkey

PAID = {"payment": {"method": "card", "token": "tok_ok"}}


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoukStack]:
    extra = {"SOUK_RATE_LIMITS": "off", "SOUK_WEBHOOK_ALLOW_LOOPBACK": "1"}
    running = SoukStack(tmp_path_factory.mktemp("saved"), extra=extra)
    yield running
    running.down()


def buy(buyer: Caller, product: str) -> str:
    """An order, confirmed; its id."""
    order = buyer.post("/api/v1/orders", {"lines": [{"product_id": product, "quantity": 1}]})["id"]
    buyer.post(f"/api/v1/orders/{order}/confirm", PAID)
    return str(order)


def state_of(buyer: Caller, order: str) -> str:
    answer = httpx.get(f"{buyer.stack.base_url}/api/v1/orders/{order}", headers=buyer.headers)
    return str(answer.json()["state"])


def read_on(caller: Caller, after: str | None = None) -> tuple[list[dict[str, Any]], str]:
    """All events behind the cursor, and the cursor at the end."""
    events: list[dict[str, Any]] = []
    while True:
        query = f"limit=100&after={after}" if after else "limit=100"
        page = httpx.get(f"{caller.stack.base_url}/api/v1/events?{query}", headers=caller.headers).raise_for_status()
        found = page.json()
        if not found["results"] and found["next"] == after:
            return events, str(after)
        events += found["results"]
        after = found["next"]


@contextmanager
def buying(buyer: Caller, product: str) -> Iterator[list[str]]:
    """Somebody who buys again and again beside the block; the ids of the orders."""
    orders: list[str] = []
    enough = threading.Event()

    def work() -> None:
        while not enough.is_set():
            orders.append(buy(buyer, product))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield orders
    finally:
        enough.set()
        thread.join(60)


def assert_a_new_order_is_heard(buyer: Caller, product: str, *, behind: list[str]) -> None:
    """It is accepted by way of the log, and heard live and behind each of these cursors."""
    wanted = ["order.placed", "order.confirmed", "payment.requested", "payment.captured", "order.accepted"]
    with listening(buyer) as ear:
        order = buy(buyer, product)
        wait_for(lambda: state_of(buyer, order) == "ACCEPTED", what="a new order is accepted")
        wait_for(lambda: [event["type"] for event in ear.heard][-5:] == wanted, what="it is heard live")
    assert [[event["type"] for event in read_on(buyer, end)[0]] for end in behind] == [wanted] * len(behind)


def test_a_shop_saved_while_it_sells_comes_back_and_every_cursor_goes_on(
    stack: SoukStack, receiver: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "shop.souk"
    stack.up()
    seller, buyer = Caller.register(stack), Caller.register(stack)
    mug = seller.offer("Mug", stock=1000)
    webhook = seller.post("/api/v1/webhooks", {"url": receiver.url, "types": ["product.created"]})
    _, early = read_on(buyer)
    with buying(buyer, mug) as orders:
        wait_for(lambda: len(orders) >= 3, what="some orders were placed")
        saved = stack.souk("backup", str(file))
    assert saved.returncode == 0, saved.stderr
    assert file.stat().st_mode & 0o077 == 0
    lost = buy(buyer, mug)
    wait_for(lambda: state_of(buyer, lost) == "ACCEPTED", what="the last order was accepted")
    _, late = read_on(buyer)

    refused = stack.souk("restore", str(file))
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    assert stack.souk("reset", "--yes").returncode == 0
    back = stack.souk("restore", str(file))
    assert back.returncode == 0, back.stderr
    stack.up()

    # Who is signed in stays so. Orders from before the backup are there, and come to their end; the last one is not.
    assert httpx.get(f"{stack.base_url}/api/v1/orders/{lost}", headers=buyer.headers).status_code == 404
    wait_for(lambda: {state_of(buyer, one) for one in orders[:3]} == {"ACCEPTED"}, what="older orders are accepted")
    # Who had read before the backup, and who had read what is lost: both go on, and neither waits or is refused.
    told, early_end = read_on(buyer, early)
    _, late_end = read_on(buyer, late)
    assert {event["subject"]["id"] for event in told if event["type"] == "order.placed"} >= set(orders[:3])
    assert_a_new_order_is_heard(buyer, mug, behind=[early_end, late_end])
    receiver.taken.clear()
    seller.offer("After the restore")
    wait_for(lambda: bool(receiver.taken), what="the webhook is told")
    assert receiver.verified(webhook["secret"])[-1]["data"]["title"] == "After the restore"
    books = stack.souk("stock", "check")
    assert books.returncode == 0, books.stderr


def test_a_backup_that_cannot_be_restored_leaves_the_shop_as_it_was_and_running(
    stack: SoukStack, tmp_path: Path
) -> None:
    file, broken = tmp_path / "shop.souk", tmp_path / "broken.souk"
    stack.up()
    seller = Caller.register(stack)
    mug = seller.offer("Mug")
    assert stack.souk("backup", str(file)).returncode == 0
    with zipfile.ZipFile(file) as packed, zipfile.ZipFile(broken, "w") as damaged:
        damaged.writestr(MANIFEST, packed.read(MANIFEST))
        whole = packed.read(DUMP)
        damaged.writestr(DUMP, whole[: len(whole) // 2])
    refused = stack.souk("restore", "--yes", str(broken))
    assert (refused.returncode, "othing was changed" in refused.stderr) == (1, True), refused.stderr
    assert httpx.get(f"{stack.base_url}/api/v1/products/{mug}").json()["title"] == "Mug"
    lamp = seller.offer("Lamp")
    # Over the shop that runs, when that is meant: what came after the backup is gone.
    assert stack.souk("restore", "--yes", str(file)).returncode == 0
    assert httpx.get(f"{stack.base_url}/api/v1/products/{mug}").status_code == 200
    assert httpx.get(f"{stack.base_url}/api/v1/products/{lamp}").status_code == 404


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "foreign", "newer"])
def test_what_is_no_whole_backup_of_this_souk_is_refused(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "shop.souk"
    manifest = {"format": 1, "souk": "0.1.0", "created": "2026-11-25T00:00:00+00:00", "migrations": []}
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(MANIFEST, json.dumps({**manifest, "format": 2 if damage == "newer" else 1}))
        if damage != "foreign":
            packed.writestr(DUMP, b"dump")
    match damage:
        case "empty":
            file.write_bytes(b"")
        case "text":
            file.write_text("Mugs and lamps")
        case "cut":
            file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(StackError, match="no backup of Souk" if damage != "newer" else "format 2"):
        read_manifest(file)


def done(shop: SoukStack, *command: str) -> subprocess.CompletedProcess[str]:
    """What a command said that went well."""
    ended = shop.souk(*command)
    assert ended.returncode == 0, ended.stderr
    return ended


def test_a_database_of_the_operators_own_is_saved_and_brought_back_with_nobody_connected(tmp_path: Path) -> None:
    home = tmp_path / "theirs"
    with running_postgres(home, durable=False) as url, running_valkey(tmp_path) as streams:
        port = streams.connection_pool.connection_kwargs["port"]
        own = {
            "SOUK_DATABASE_URL": url,
            "SOUK_REDIS_URL": f"redis://127.0.0.1:{port}/0",
            "SOUK_SECRET_KEY": "a key of the operator's own",
            "DEBEZIUM_SOURCE_DATABASE_USER": "souk_cdc",
            "DEBEZIUM_SOURCE_DATABASE_PASSWORD": Home(home).secrets()["souk_cdc"],
        }
        shop, file = SoukStack(tmp_path / "ours", extra=own), str(tmp_path / "shop.souk")
        done(shop, "migrate")
        done(shop, "cdc", "ensure")
        done(shop, "user", "create", "--username", "ada", "--password", PASSWORD)
        done(shop, "backup", file)
        with zipfile.ZipFile(file) as packed:
            assert packed.namelist() == [MANIFEST, DUMP]  # the key is the operator's
        streams.xadd("souk.events.user", {"key": "old", "value": "old"})
        done(shop, "user", "create", "--username", "bob", "--password", PASSWORD)
        assert "--yes" in shop.souk("restore", file).stderr
        with psycopg.connect(url, application_name="souk worker") as worker:
            refused = shop.souk("restore", "--yes", file)
            assert (refused.returncode, "souk worker" in refused.stderr) == (1, True)
            assert worker.execute("SELECT count(*) FROM accounts_user").fetchone() == (2,)
        assert "souk cdc ensure" in done(shop, "restore", "--yes", file).stdout
        with psycopg.connect(url) as at:
            assert at.execute("SELECT username FROM accounts_user").fetchall() == [("ada",)]
            assert at.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)
        assert streams.keys("souk.events.*") == []
        done(shop, "migrate")
        assert "ALARM" not in done(shop, "cdc", "ensure").stderr
        # A shop that was restored is saved as any other.
        done(shop, "backup", file)
        done(shop, "restore", "--yes", file)
