"""What any API process tells of all processes: counts are exact, whoever counted and whoever is asked."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx

from tests.stack.listeners import Caller
from tests.stack.private import SoukStack, wait_for

PAID = {"payment": {"method": "card", "token": "tok_ok"}}
TAGS = 'souk_http_requests_total{method="GET",route="api/v1/tags",status="200"}'


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process stands still for as long as the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def told(stack: SoukStack, *series: str) -> list[float]:
    """These series as one answer of `/metrics` tells them; 0 where it does not."""
    values = dict(
        line.rpartition(" ")[::2] for line in httpx.get(f"{stack.base_url}/metrics").text.splitlines() if line[0] != "#"
    )
    return [float(values.get(one, 0)) for one in series]


def test_requests_of_all_api_processes_are_counted_exactly(souk_stack: SoukStack) -> None:
    (before,) = told(souk_stack, TAGS)

    def ask(_: int) -> int:
        # A connection of its own each time, so that both processes are asked.
        return httpx.get(f"{souk_stack.base_url}/api/v1/tags").status_code

    with ThreadPoolExecutor(8) as callers:
        assert set(callers.map(ask, range(60))) == {200}
    assert [told(souk_stack, TAGS) for _ in range(6)] == [[before + 60]] * 6


def test_the_worker_is_told_of_at_the_api_and_its_counts_outlive_it(souk_stack: SoukStack) -> None:
    seller, buyer = Caller.register(souk_stack), Caller.register(souk_stack)
    mug = seller.offer("Mug")
    series = [f'souk_events_heard_total{{consumer="{name}"}}' for name in ("payments", "orders")]
    before = told(souk_stack, *series)

    def buy() -> None:
        order = buyer.post("/api/v1/orders", {"lines": [{"product_id": mug, "quantity": 1}]})["id"]
        buyer.post(f"/api/v1/orders/{order}/confirm", PAID)

    buy()
    once = [count + 1 for count in before]
    wait_for(lambda: told(souk_stack, *series) == once, what="both consumers have heard")
    souk_stack.wait_restarted("worker", than=souk_stack.kill("worker"))
    assert told(souk_stack, *series) == once
    buy()
    twice = [count + 2 for count in before]
    wait_for(lambda: told(souk_stack, *series) == twice, what="the new worker counts beside the dead one")


def test_health_status_and_metrics_tell_the_same_of_the_event_path(souk_stack: SoukStack) -> None:
    wait_for(lambda: httpx.get(f"{souk_stack.base_url}/health/ready").json()["status"] == "ready", what="all is well")
    health = httpx.get(f"{souk_stack.base_url}/health/ready").json()
    status = souk_stack.status()
    assert status["checks"].keys() == health["checks"].keys()
    assert [one["name"] for one in status["event_path"]["consumers"]] == ["payments", "orders"]
    assert all(one["group"]["readers"] for one in status["event_path"]["consumers"])
    slot = status["event_path"]["slot"]
    assert (slot["active"], slot["status"], slot["safe_bytes"] > 2**30) == (True, "reserved", True)
    assert told(souk_stack, "souk_slot_active") == [1]
    lag = souk_stack.souk("events", "lag")
    assert lag.returncode == 0, lag.stderr
    assert "slot: is read, reserved" in lag.stdout


def test_a_worker_that_is_away_degrades_the_health_and_is_named(souk_stack: SoukStack) -> None:
    """Its readers count as gone 15 seconds after they last asked."""
    pid = int(souk_stack.service("worker")["pid"])
    with stopped(pid):
        wait_for(
            lambda: httpx.get(f"{souk_stack.base_url}/health/ready").json()["checks"]["worker"]["state"] == "failing",
            what="the worker is missed",
        )
        assert httpx.get(f"{souk_stack.base_url}/health/ready").json()["status"] == "degraded"
    wait_for(
        lambda: httpx.get(f"{souk_stack.base_url}/health/ready").json()["checks"]["worker"]["state"] == "ok",
        what="the worker is back",
    )
