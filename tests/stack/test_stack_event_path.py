"""From the commit over the database's own log to its effect, on the whole stack, while parts of it are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
import redis

from tests.stack.private import SoukStack, wait_for

PASSWORD = "correct horse battery"  # of users that these tests register


class Caller:
    """A registered user who speaks to a running stack."""

    def __init__(self, stack: SoukStack, name: str) -> None:
        self.client = httpx.Client(base_url=stack.base_url, timeout=30)
        username = f"{name}-{uuid4().hex[:8]}"
        self.client.post("/api/v1/users", json={"username": username, "password": PASSWORD}).raise_for_status()
        form = {"grant_type": "password", "username": username, "password": PASSWORD, "client_id": "souk-web"}
        given = self.client.post("/oauth/token", data=form).raise_for_status().json()
        self.client.headers["Authorization"] = f"Bearer {given['access_token']}"

    def post(self, path: str, body: Any = None) -> dict[str, Any]:
        return dict(self.client.post(f"/api/v1{path}", json=body).raise_for_status().json())

    def get(self, path: str) -> dict[str, Any]:
        return dict(self.client.get(f"/api/v1{path}").raise_for_status().json())

    def offer(self, stock: int) -> str:
        body = {"title": "Cedar box", "price": {"amount": 2500, "currency": "EUR"}, "stock": stock}
        return str(self.post("/products", body)["id"])

    def order(self, product_id: str, token: str | None = None) -> str:
        """Place an order of one piece, and confirm it when there is a token to pay with."""
        order_id = self.post("/orders", {"lines": [{"product_id": product_id, "quantity": 1}]})["id"]
        if token is not None:
            self.post(f"/orders/{order_id}/confirm", {"payment": {"method": "card", "token": token}})
        return str(order_id)

    def state(self, order_id: str) -> str:
        return str(self.get(f"/orders/{order_id}")["state"])


def rows(stack: SoukStack, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(stack.environment["SOUK_DATABASE_URL"]) as at:
        return at.execute(sql, parameters).fetchall()


def assert_accepted_once(stack: SoukStack, order_ids: list[str]) -> None:
    """Each order was accepted, charged and told once, and no event became a dead letter."""
    assert rows(stack, "SELECT count(*) FROM reactions_deadletter") == [(0,)]
    for order_id in order_ids:
        assert rows(
            stack, "SELECT event FROM eventlog_transition WHERE subject_id = %s ORDER BY sequence", order_id
        ) == [("place",), ("confirm",), ("accept",)]
        assert rows(
            stack,
            "SELECT p.state, c.amount, c.refunded FROM payments_payment p"
            " JOIN payments_providercharge c ON c.key = p.id WHERE p.reference = %s",
            order_id,
        ) == [("CAPTURED", 2500, False)]


def wait_accepted(buyer: Caller, order_ids: list[str], *, seconds: float = 60) -> None:
    wait_for(
        lambda: all(buyer.state(order_id) == "ACCEPTED" for order_id in order_ids),
        what="every order is accepted",
        seconds=seconds,
    )


@pytest.fixture
def buyer(souk_stack: SoukStack) -> Iterator[Caller]:
    caller = Caller(souk_stack, "buyer")
    yield caller
    caller.client.close()


@pytest.fixture
def product(souk_stack: SoukStack) -> str:
    seller = Caller(souk_stack, "seller")
    product_id = seller.offer(stock=1000)
    seller.client.close()
    return product_id


def test_a_confirmed_order_is_accepted_by_way_of_the_database_log(
    souk_stack: SoukStack, buyer: Caller, product: str
) -> None:
    order_id = buyer.order(product, "tok_ok")
    wait_accepted(buyer, [order_id])
    assert_accepted_once(souk_stack, [order_id])
    heard = rows(
        souk_stack,
        "SELECT e.type, p.consumer FROM eventlog_event e JOIN reactions_processed p ON p.event_id = e.id"
        " JOIN payments_payment y ON y.id = e.subject_id WHERE y.reference = %s ORDER BY e.sequence",
        order_id,
    )
    assert heard == [("payment.requested", 1), ("payment.captured", 2)]
    with redis.Redis.from_url(souk_stack.environment["SOUK_REDIS_URL"]) as streams:
        groups = streams.xinfo_groups("souk.events.payment")
        assert {b"payments", b"orders"} <= {group["name"] for group in groups}
        wait_for(lambda: streams.xpending("souk.events.payment", "orders")["pending"] == 0, what="all is acknowledged")


def test_declined_and_flaky_payments_end_as_they_should(souk_stack: SoukStack, buyer: Caller, product: str) -> None:
    declined, flaky = buyer.order(product, "tok_declined"), buyer.order(product, "tok_flaky")
    wait_for(lambda: buyer.state(declined) == "PENDING_CONFIRMATION", what="the declined order is taken back")
    wait_accepted(buyer, [flaky])
    assert_accepted_once(souk_stack, [flaky])


def test_a_worker_killed_midway_still_leads_to_one_charge_and_one_acceptance(
    souk_stack: SoukStack, buyer: Caller, product: str
) -> None:
    # The slow provider answers after two seconds: the worker dies while it waits.
    order_ids = [buyer.order(product, token) for token in ("tok_slow", "tok_ok", "tok_slow", "tok_ok")]
    wait_for(
        lambda: (
            rows(
                souk_stack,
                "SELECT count(*) FROM payments_payment WHERE reference = ANY(%s) AND tries > 0",
                [*order_ids],
            )
            == [(4,)]
        ),
        what="the provider was asked for all of them",
    )
    dead = souk_stack.kill("worker")
    assert {buyer.state(order_id) for order_id in order_ids} - {"ACCEPTED"} == {"CONFIRMED"}
    souk_stack.wait_restarted("worker", than=dead)
    wait_accepted(buyer, order_ids, seconds=120)
    assert_accepted_once(souk_stack, order_ids)


@contextmanager
def more_processes(stack: SoukStack, *commands: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes beside those that the stack runs; told to stop at the end, they end well."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "souk", command],
            env={**stack.environment, "SOUK_PROCESS": command},
            stdout=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(60) for process in started]
    assert codes == [0] * len(commands)


def is_reading(streams: redis.Redis, pid: int) -> bool:
    readers = streams.xinfo_consumers("souk.events.payment", "payments")
    return any(f"-{pid}-" in reader["name"].decode() for reader in readers)


def test_several_workers_and_clocks_have_each_effect_once(souk_stack: SoukStack, buyer: Caller, product: str) -> None:
    with (
        redis.Redis.from_url(souk_stack.environment["SOUK_REDIS_URL"]) as streams,
        more_processes(souk_stack, "worker", "worker", "clock") as (first, second, _),
    ):
        wait_for(lambda: is_reading(streams, first.pid) and is_reading(streams, second.pid), what="three workers read")
        order_ids = [buyer.order(product, "tok_ok") for _ in range(40)]
        wait_accepted(buyer, order_ids)
    assert_accepted_once(souk_stack, order_ids)


def test_streams_that_are_wiped_cost_time_and_no_event(souk_stack: SoukStack, buyer: Caller, product: str) -> None:
    worker = int(souk_stack.service("worker")["pid"])
    clock_log = souk_stack.home / "log" / "clock.log"
    found_before = clock_log.read_text().count("events.reconciled")
    os.kill(worker, signal.SIGSTOP)
    try:
        with redis.Redis.from_url(souk_stack.environment["SOUK_REDIS_URL"]) as streams:
            # Counted by what was ever added: the clock cuts off what everybody has read.
            wanted = streams.xinfo_stream("souk.events.payment")["entries-added"] + 12
            # More than the worker's hands: what they were already waiting for reaches them in spite of the wipe.
            order_ids = [buyer.order(product, "tok_ok") for _ in range(12)]
            wait_for(
                lambda: streams.xinfo_stream("souk.events.payment")["entries-added"] >= wanted,
                what="the events are in their stream",
            )
            streams.flushall()
    finally:
        os.kill(worker, signal.SIGCONT)
    # Nothing but the reconciler can know of the others: it looks every 30 s for events older than that.
    wait_accepted(buyer, order_ids, seconds=150)
    assert_accepted_once(souk_stack, order_ids)
    assert clock_log.read_text().count("events.reconciled") > found_before
