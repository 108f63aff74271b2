"""Clients that place orders: two processes with four threads each, so that they take little of the machine."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any
from uuid import uuid4

from bench.calling import Caller, Line

PROCESSES, THREADS = 2, 4


@dataclass
class Heard:
    """What clients heard: how often each status, seconds per answer, the orders made, and what it cost them."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    orders: list[tuple[str, str]] = field(default_factory=list)
    processor_seconds: float = 0.0

    def add(self, other: Heard) -> None:
        """Take in what another client heard."""
        self.outcomes.update(other.outcomes)
        self.seconds += other.seconds
        self.orders += other.orders
        self.processor_seconds += other.processor_seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the answers came."""
        ranked = sorted(self.seconds)
        return round(1000 * ranked[min(int(share * len(ranked)), len(ranked) - 1)], 1) if ranked else 0.0


def order_steadily(port: int, callers: Sequence[Caller], products: Sequence[str], rate: float, seconds: float) -> Heard:
    """One client: place orders of two products and confirm each, at a rate, until the time is over.

    Who falls behind goes on without a pause and never faster than asked in the long run. `seconds` has the placings.
    """
    line, heard = Line(port), Heard()
    chance = random.Random()  # noqa: S311  # load, no secret
    began = time.monotonic()
    payment = {"payment": {"method": "card", "token": "tok_ok"}}
    number = chance.random()  # so that the clients do not all ask at once
    while (now := time.monotonic()) < began + seconds:
        time.sleep(max(began + number / rate - now, 0))
        number += 1
        caller, wanted = chance.choice(callers), chance.sample(products, 2)
        body = {"lines": [{"product_id": product, "quantity": 1} for product in wanted]}
        asked = time.monotonic()
        status, head, _ = line.send("POST", "/orders", caller.token, body, key=uuid4().hex)
        heard.seconds.append(time.monotonic() - asked)
        heard.outcomes[f"place {status}"] += 1
        if status != 201:
            continue
        order_id = head.partition("/api/v1/orders/")[2][:36]
        status, _, _ = line.send("POST", f"/orders/{order_id}/confirm", caller.token, payment, key=uuid4().hex)
        heard.outcomes[f"confirm {status}"] += 1
        if status == 200:
            heard.orders.append((order_id, caller.token))
    line.close()
    return heard


def all_at_once(client: Callable[..., Heard], arguments: Sequence[tuple[Any, ...]]) -> tuple[Heard, float]:
    """Run the client once for each tuple of arguments, spread over the processes; what was heard, and the seconds."""
    shares = [arguments[place::PROCESSES] for place in range(PROCESSES)]
    # A server of forks has everything imported already: no client spends the measured time on that.
    context = get_context("forkserver")
    context.set_forkserver_preload(["bench.orders_load"])
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        list(pool.map(_warm, range(PROCESSES)))
        began = time.monotonic()
        parts = list(pool.map(_in_threads, [client] * PROCESSES, shares))
    took = time.monotonic() - began
    heard = Heard()
    for part in parts:
        heard.add(part)
    return heard, took


def _warm(_: int) -> None:
    time.sleep(0.5)  # long enough for the other process to take its turn


def _in_threads(client: Callable[..., Heard], arguments: Sequence[tuple[Any, ...]]) -> Heard:
    heard, before = Heard(), time.process_time()
    with ThreadPoolExecutor(max(len(arguments), 1)) as hands:
        for part in [hand.result() for hand in [hands.submit(client, *one) for one in arguments]]:
            heard.add(part)
    heard.processor_seconds = time.process_time() - before
    return heard
