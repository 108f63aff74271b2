"""Several of each process at once, and the API of the last release beside the schema and the processes of this one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from souk.stack.api import ask
from souk.stack.home import free_port
from souk.stack.identity import die_with_parent
from tests.faults.ground import Ground
from tests.servers.people import offer, sign_up
from tests.sources import ROOT
from tests.stack.private import wait_for

BUYERS, ORDERS = 4, 10
# Every order has ended, and nothing is charged, sold or heard a second time or not at all.
ENDED = "SELECT count(*) FROM orders_order WHERE state NOT IN ('ACCEPTED', 'NOT_CONFIRMED', 'CANCELLED')"
CHARGED_TWICE = """
SELECT count(*) FROM (SELECT 1 FROM payments_payment WHERE state = 'CAPTURED'
                       GROUP BY reference HAVING count(*) > 1) AS twice
"""
ACCEPTED_UNPAID = """
SELECT count(*) FROM orders_order o
 WHERE state = 'ACCEPTED' AND NOT EXISTS (
           SELECT 1 FROM payments_payment p WHERE p.reference = o.id AND p.state = 'CAPTURED')
"""


def buy(client: httpx.Client, buyer: dict[str, str], product: str, *, card: str = "tok_ok") -> str:
    lines = {"lines": [{"product_id": product, "quantity": 1}]}
    placed = client.post("/api/v1/orders", json=lines, headers=buyer)
    assert placed.status_code == 201, placed.text
    address = f"/api/v1/orders/{placed.json()['id']}"
    paid = client.post(f"{address}/confirm", json={"payment": {"method": "card", "token": card}}, headers=buyer)
    assert paid.status_code == 200, paid.text
    return address


def test_four_workers_two_clocks_and_two_apis_do_no_harm(ground: Ground) -> None:
    with ExitStack() as more:
        for command in ("worker", "worker", "worker", "clock"):
            more.enter_context(ground.process(command))
        urls = [ground.url, more.enter_context(ground.more_api(SOUK_RATE_LIMITS="off"))]
        clients = [more.enter_context(httpx.Client(base_url=url, timeout=60)) for url in urls]
        product = offer(clients[0], sign_up(clients[0], "many-seller"), "Walnut bowl", stock=BUYERS * ORDERS)

        def shop(number: int) -> list[str]:
            client = clients[number % len(clients)]
            buyer = sign_up(client, f"many-buyer-{number}")
            return [buy(client, buyer, product, card=("tok_ok", "tok_flaky")[turn % 2]) for turn in range(ORDERS)]

        with ThreadPoolExecutor(BUYERS) as buyers:
            placed = [address for addresses in buyers.map(shop, range(BUYERS)) for address in addresses]
        wait_for(lambda: ground.value(ENDED) == 0, what="every order has ended", seconds=120)
    assert len(set(placed)) == BUYERS * ORDERS
    assert ground.value(CHARGED_TWICE) == ground.value(ACCEPTED_UNPAID) == 0
    sold = "SELECT on_hand, reserved FROM stock_stock WHERE product_id = %s"
    assert ground.rows(sold, product) == [(0, 0)]
    assert ground.stack.souk("stock", "check").returncode == 0


@contextmanager
def last_release() -> Iterator[Path]:
    """A checkout of the last release: the commit that kept its contract (`make baseline`)."""
    asked = ["git", "log", "-1", "--format=%H", "--", "tests/baseline"]
    found = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    if not found:
        pytest.skip("there is no git history here that goes back to the last release")
    folder = Path(tempfile.mkdtemp(prefix="souk-release-"))
    subprocess.run(["git", "worktree", "add", "--force", "--detach", str(folder), found], cwd=ROOT, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(folder)], cwd=ROOT, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def test_the_api_of_the_last_release_does_the_main_job_on_the_new_schema(ground: Ground) -> None:
    port = free_port()
    with last_release() as folder, (ground.stack.home / "log" / "old-api.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "souk", "api", "--port", str(port), "--workers", "1"], cwd=folder,
            env={**ground.stack.environment, "SOUK_PROCESS": "api", "PYTHONPATH": str(folder)}, stdout=log, stderr=log,
            preexec_fn=die_with_parent(os.getpid(), signal.SIGTERM),  # noqa: PLW1509 - ends with the tests
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: ask(f"{url}/health/live")[0] == 200, what="the old API answers", seconds=120)
            with httpx.Client(base_url=url, timeout=60) as client:
                seller, buyer = sign_up(client, "old-seller"), sign_up(client, "old-buyer")
                product = offer(client, seller, "Walnut bowl", stock=2)
                address = buy(client, buyer, product)

                def state(address: str = address) -> str:
                    return str(client.get(address, headers=buyer).json()["state"])

                wait_for(lambda: state() == "ACCEPTED", what="the order is accepted")
                shown = client.get("/api/v1/products", params={"q": "walnut"}).json()["results"]
                assert [one["available"] for one in shown if one["id"] == product] == [1]
        finally:
            process.terminate()
            process.wait(40)
