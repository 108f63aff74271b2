"""A load driver counts what it did, two API processes and a worker count what was done: the same, exactly."""

from __future__ import annotations

import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import httpx
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

from souk.kit.machine import transitions_of
from souk.kit.measures import METHODS
from souk.orders.machine import OrderMachine
from tests.promises import asked_for
from tests.stack.listeners import Caller
from tests.stack.private import SoukStack, wait_for

PAID = {"payment": {"method": "card", "token": "tok_ok"}}
THREADS, ROUNDS = 6, 8
ORDER = "api/v1/orders/<uuid:order_id>"
# What other tests may have left to be done meanwhile.
LATER = {"expire", "take_back", "decline"}
WATCHING = {"metrics", "health/ready", "health/live"}


def samples(stack: SoukStack) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """One answer of `/metrics`, as the client's own parser reads it."""
    text = httpx.get(f"{stack.base_url}/metrics", timeout=60).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Driver:
    """Somebody who asks and counts. Every request has a connection of its own, so that both processes are asked."""

    def __init__(self, stack: SoukStack) -> None:
        self.stack, self.lock = stack, Lock()
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.transitions: Counter[str] = Counter()
        self.searches: Counter[str] = Counter()

    def ask(self, method: str, path: str, route: str, *, by: Caller | None = None, body: Any = None) -> httpx.Response:
        headers = by.headers if by else {}
        answer = httpx.request(method, self.stack.base_url + path, headers=headers, json=body, timeout=60)
        with self.lock:
            self.requests[method if method in METHODS else "OTHER", route, str(answer.status_code)] += 1
        return answer

    def changed(self, event: str) -> None:
        with self.lock:
            self.transitions[event] += 1

    def shop(self, buyer: Caller, products: list[str], seed: int) -> None:
        """One round: looks, searches, orders; some are paid, some cancelled, some refused."""
        chance = random.Random(seed)  # noqa: S311  # the same rounds in every run
        products_route = "api/v1/products"
        self.ask("GET", "/api/v1/products", products_route)
        for query, kind in (("q=mug", "words"), ("q=mug&sort=relevance", "relevance"), ("available=true", "filters")):
            self.ask("GET", f"/api/v1/products?{query}", products_route)
            with self.lock:
                self.searches[kind] += 1
        self.ask("GET", f"/api/v1/products/{chance.choice(products)}", "api/v1/products/<uuid:product_id>")
        self.ask("GET", "/api/v1/products?limit=1000", products_route)
        self.ask("GET", f"/nowhere/{uuid4()}", "unmatched")
        self.ask(chance.choice(("BREW", "PROPFIND")), "/api/v1/products", products_route)
        self.ask("GET", "/api/v1/orders", "api/v1/orders")
        lines = {"lines": [{"product_id": chance.choice(products), "quantity": chance.choice((1, 2, 1000))}]}
        placed = self.ask("POST", "/api/v1/orders", "api/v1/orders", by=buyer, body=lines)
        if placed.status_code != 201:
            return
        self.changed("place")
        order = placed.json()["id"]
        if chance.random() < 0.3:
            assert self.ask("POST", f"/api/v1/orders/{order}/cancel", f"{ORDER}/cancel", by=buyer).status_code == 200
            self.changed("cancel")
        elif chance.random() < 0.8:
            paid = self.ask("POST", f"/api/v1/orders/{order}/confirm", f"{ORDER}/confirm", by=buyer, body=PAID)
            assert paid.status_code == 200
            self.changed("confirm")
            self.changed("accept")
        # Refused, unless it is one of those that were neither paid nor cancelled yet.
        if self.ask("POST", f"/api/v1/orders/{order}/cancel", f"{ORDER}/cancel", by=buyer).status_code == 200:
            self.changed("cancel")
        self.ask("GET", f"/api/v1/orders/{order}", ORDER, by=buyer)


def api_processes_that_counted(folder: Path) -> set[str]:
    """The ids of the processes whose files say that they answered orders."""
    found = set()
    for path in folder.glob("counter_*.db"):
        values = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]  # the client ships it so
        if any('"souk_http_requests_total"' in key and '"api/v1/orders"' in key for key, *_ in values):
            found.add(path.stem.partition("_")[2])
    return found


class Counted:
    """What `/metrics` has counted since this was made."""

    def __init__(self, stack: SoukStack) -> None:
        self.stack, self.before = stack, samples(stack)

    def of(self, name: str, *labels: str) -> dict[tuple[str, ...], int]:
        """The increase of each series, by the values of these labels; what watches the stack is left out."""
        found = {}
        for (metric, pairs), value in samples(self.stack).items():
            increase, named = round(value - self.before.get((metric, pairs), 0)), dict(pairs)
            if metric == name and increase and named.get("route") not in WATCHING:
                found[tuple(named[label] for label in labels)] = increase
        return found

    def transitions(self) -> dict[str, int]:
        found = self.of("souk_order_transitions_total", "event")
        return {event: number for (event,), number in found.items() if event not in LATER}


def nothing_waits(stack: SoukStack) -> bool:
    """Whether everything that other tests left is heard."""
    waiting = [value for (name, _), value in samples(stack).items() if name == "souk_events_oldest_unprocessed_seconds"]
    return sum(waiting) == 0


def test_a_run_under_load_is_counted_exactly_over_two_api_processes(souk_stack: SoukStack) -> None:
    seller, *buyers = [Caller.register(souk_stack) for _ in range(THREADS + 1)]
    products = [seller.offer(f"Mug {number}", stock=60) for number in range(4)]
    wait_for(lambda: nothing_waits(souk_stack), what="what other tests left is heard")
    counted, driver = Counted(souk_stack), Driver(souk_stack)
    with ThreadPoolExecutor(THREADS) as threads:
        rounds = [
            threads.submit(driver.shop, buyer, products, 1000 * at + number)
            for at in range(ROUNDS)
            for number, buyer in enumerate(buyers)
        ]
        for one in rounds:
            one.result()
    assert sum(driver.requests.values()) > 500
    assert sum(driver.transitions.values()) > 50
    wait_for(lambda: counted.transitions() == dict(driver.transitions), what="every paid order is accepted")
    assert counted.of("souk_http_requests_total", "method", "route", "status") == dict(driver.requests)
    timed: Counter[tuple[str, ...]] = Counter()
    for (method, route, _), number in driver.requests.items():
        timed[method, route] += number
    assert counted.of("souk_http_request_seconds_count", "method", "route") == dict(timed)
    searches = {(kind,): number for kind, number in driver.searches.items()}
    assert counted.of("souk_search_seconds_count", "kind") == searches
    assert len(api_processes_that_counted(souk_stack.home / "run" / "metrics")) >= 2


def test_labels_are_few_and_never_what_somebody_sent(souk_stack: SoukStack) -> None:
    caller = Caller.register(souk_stack)
    mark = f"hostile{uuid4().hex[:8]}"
    ways = [("GET", f"/api/v1/{mark}"), (mark.upper(), "/api/v1/products"), ("GET", f"/api/v1/products?q={mark}"),
            ("GET", f"/api/v1/tags/{mark}"), ("GET", f"/{mark}%0d%0asouk_fake%201"), ("GET", f"/admin/{mark}/"),
            ("GET", f"/static/{mark}.css"), ("GET", f"/problems/{mark}"),
            ("GET", f"/api/v1/events?types={mark}")]  # fmt: skip
    for method, path in ways:
        httpx.request(method, souk_stack.base_url + path, headers={**caller.headers, "User-Agent": mark}, timeout=60)
    httpx.post(f"{souk_stack.base_url}/oauth/token", data={"grant_type": mark, "username": mark}, timeout=60)
    text = httpx.get(f"{souk_stack.base_url}/metrics", timeout=60).text
    assert mark not in text.lower()
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}|whsec_|@", text)
    values: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            for label, value in sample.labels.items():
                values.setdefault(label, set()).add(value)
    assert values.keys() <= {
        "method", "route", "status", "le", "event", "kind", "consumer", "outcome", "reason", "process", "state"
    }  # fmt: skip
    assert values["method"] <= METHODS | {"OTHER"}
    assert values["event"] <= {"place", *transitions_of(OrderMachine)}
    assert values["kind"] <= {"words", "relevance", "filters"}
    assert values["process"] <= {"api", "worker", "clock", "live", "command", "other"}
    assert values["state"] <= {"active", "idle", "in transaction", "other"}
    assert values["consumer"] == {"payments", "orders"}
    assert all(re.fullmatch(r"[1-5]\d\d", status) for status in values["status"])


def test_everything_that_dashboard_and_alerts_ask_for_is_told_by_a_running_server(souk_stack: SoukStack) -> None:
    caller = Caller.register(souk_stack)
    mug = caller.offer("Mug")
    buyer = Caller.register(souk_stack)
    buyer.post("/api/v1/orders", {"lines": [{"product_id": mug, "quantity": 1}]})
    httpx.get(f"{souk_stack.base_url}/api/v1/products?q=mug", timeout=60)
    text = httpx.get(f"{souk_stack.base_url}/metrics", timeout=60).text
    told = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    told |= {re.sub(r"_(bucket|count|sum)$", "", name) for name in told}
    assert asked_for() - told == set()
