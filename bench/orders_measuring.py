"""What is measured about orders: placing, one hot product, confirming, each beside its ceiling."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from bench.orders_ceiling import prepare_ceiling, run_ceiling
from bench.orders_load import PROCESSES, THREADS, Heard, all_at_once, confirm_orders, place_orders
from bench.processes import command_of, family_seconds, parent_of_all
from bench.serving import environment, make_callers, make_products, migrate, served

CLIENTS = PROCESSES * THREADS
ROUNDS = 3
# So many that none of them comes near the limit of orders that wait.
BUYERS = 20_000


def measured(url: str, folder: Path, *, seconds: int, products: int) -> dict[str, Any]:
    """Every figure, by name. The database must be empty or made by this."""
    env = environment(url, folder / "home")
    migrate(env)
    (seller,) = make_callers(1, "seller")
    buyers = make_callers(BUYERS, "buyer")
    (hot,) = make_products(1, seller, stock=1_000_000)
    ids = [str(one) for one in make_products(products, seller, stock=1_000_000)]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")  # as in a shop that has been open for a while
    found: dict[str, Any] = {"products": products, "clients": CLIENTS, "seconds": seconds}
    callers, numbered = prepare_ceiling()
    with served(env) as port:
        all_at_once(place_orders, [(port, buyers, ids, 2, 2)] * CLIENTS)
        rounds: dict[str, list[dict[str, Any]]] = {"place": [], "place_hot": [], "confirm": []}
        # The ceiling right after each measurement: whatever else the machine does, both feel it.
        for _ in range(ROUNDS):
            heard, one = played(place_orders, [(port, buyers, ids, seconds, 2)] * CLIENTS, url)
            one["ceiling"] = run_ceiling(url, folder, callers=callers, products=numbered, seconds=seconds)
            rounds["place"].append(one)
            shares = [(port, heard.orders[place::CLIENTS], seconds) for place in range(CLIENTS)]
            rounds["confirm"].append(played(confirm_orders, shares, url)[1])
            _, one = played(place_orders, [(port, buyers, [str(hot)], seconds, 1)] * CLIENTS, url)
            one["ceiling"] = run_ceiling(url, folder, callers=callers, products=1, seconds=seconds)
            rounds["place_hot"].append(one)
    for name in ("place", "place_hot"):
        for one in rounds[name]:
            one["of_ceiling"] = round(one["per_second"] / one["ceiling"], 2)
    return found | {name: middle(ones) for name, ones in rounds.items()} | {"rounds": rounds}


def played(client: Callable[..., Heard], arguments: list[tuple[Any, ...]], url: str) -> tuple[Heard, dict[str, Any]]:
    """Run the clients; what they heard, and its figures."""
    before = processor_seconds(url)
    heard, took = all_at_once(client, arguments)
    return heard, figures(heard, took, before, processor_seconds(url))


def middle(ones: list[dict[str, Any]]) -> dict[str, Any]:
    """The round with the median rate."""
    return sorted(ones, key=lambda one: one["per_second"])[len(ones) // 2]


def figures(heard: Heard, took: float, before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    """Rate, percentiles, outcomes, and the milliseconds of processor time per request."""
    number = sum(heard.outcomes.values())
    return {
        "per_second": round(number / took, 1),
        "p50_ms": heard.percentile(0.5),
        "p99_ms": heard.percentile(0.99),
        "outcomes": dict(heard.outcomes),
        "processor_ms": {name: round(1000 * (after[name] - before[name]) / max(number, 1), 2) for name in after},
    }


def processor_seconds(url: str) -> dict[str, float]:
    """Processor time until now of the API's processes and of PostgreSQL's."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        parents = parent_of_all()  # while the backend lives
    api = [process for process, parent in parents.items() if parent == os.getpid() and "granian" in command_of(process)]
    return {
        "api": sum(family_seconds(process) for process in api),
        "postgresql": family_seconds(parents[row[0] if row else 0]),
    }
