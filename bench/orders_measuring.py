"""What is measured about orders: placing, one hot product, confirming, each beside its ceiling."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection

from bench.calling import Caller
from bench.orders_ceiling import prepare_ceiling, run_ceiling
from bench.orders_wrk import confirm, place
from bench.processes import command_of, family_seconds, parent_of_all
from bench.serving import environment, make_callers, make_products, migrate, served
from bench.wrk import CLIENTS, Heard

ROUNDS = 3
# So many that none of them comes near the limit of orders that wait.
BUYERS = 20_000
WAITING = """
SELECT id, buyer_id FROM orders_order WHERE state = 'PENDING_CONFIRMATION' ORDER BY id DESC LIMIT 30000
"""


def measured(url: str, folder: Path, *, seconds: int, products: int) -> dict[str, Any]:
    """Every figure, by name. The database must be empty or made by this."""
    env = environment(url, folder / "home")
    migrate(env)
    (seller,) = make_callers(1, "seller")
    buyers = make_callers(BUYERS, "buyer")
    (hot,) = make_products(1, seller, stock=1_000_000)
    ids = [str(one) for one in make_products(products, seller, stock=1_000_000)]
    with psycopg.connect(url, autocommit=True) as line:
        line.execute("VACUUM ANALYZE")  # as in a shop that has been open for a while
    found: dict[str, Any] = {"products": products, "clients": CLIENTS, "seconds": seconds}
    callers, numbered = prepare_ceiling()
    with served(env) as port:
        place(port, buyers, ids, seconds=2)
        rounds: dict[str, list[dict[str, Any]]] = {"place": [], "place_hot": [], "confirm": []}
        ceiling = partial(run_ceiling, url, folder, callers=callers, seconds=seconds)
        for _ in range(ROUNDS):
            placed = played(partial(place, port, buyers, ids, seconds=seconds), url)
            orders = waiting_of(buyers)[: placed["answers"] - placed["errors"]]
            rounds["place"].append(beside(placed, ceiling(products=numbered)))
            hot_ones = played(partial(place, port, buyers, [str(hot)], seconds=seconds), url)
            rounds["place_hot"].append(beside(hot_ones, ceiling(products=1)))
            rounds["confirm"].append(played(partial(confirm, port, orders, seconds=seconds), url))
    return found | {name: middle(ones) for name, ones in rounds.items()} | {"rounds": rounds}


def beside(figures: dict[str, Any], ceiling: float) -> dict[str, Any]:
    """The figures with the ceiling that was measured right after them: what else the machine did, both felt."""
    return {**figures, "ceiling": ceiling, "of_ceiling": round(figures["per_second"] / ceiling, 2)}


def waiting_of(buyers: Sequence[Caller]) -> list[tuple[str, str]]:
    """The orders that wait for their confirmation, the newest first, each with its buyer's token."""
    tokens = {one.id: one.token for one in buyers}
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return [(str(order), tokens[buyer]) for order, buyer in cursor.fetchall()]


def played(clients: Callable[[], Heard], url: str) -> dict[str, Any]:
    """Run the clients; the figures of it."""
    before = processor_seconds(url)
    heard = clients()
    return figures(heard, before, processor_seconds(url))


def middle(ones: list[dict[str, Any]]) -> dict[str, Any]:
    """The round with the median rate."""
    return sorted(ones, key=lambda one: one["per_second"])[len(ones) // 2]


def figures(heard: Heard, before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    """Rate, percentiles, errors, and the milliseconds of processor time per request."""
    return {
        "per_second": round(heard.answers / heard.seconds, 1),
        "p50_ms": heard.p50_ms,
        "p99_ms": heard.p99_ms,
        "answers": heard.answers,
        "errors": heard.errors,
        "processor_ms": {name: round(1000 * (after[name] - before[name]) / max(heard.answers, 1), 2) for name in after},
    }


def processor_seconds(url: str) -> dict[str, float]:
    """Processor time until now of the API's processes and of PostgreSQL's."""
    with psycopg.connect(url) as line:
        row = line.execute("SELECT pg_backend_pid()").fetchone()
        parents = parent_of_all()  # while the backend lives
    api = [process for process, parent in parents.items() if parent == os.getpid() and "granian" in command_of(process)]
    return {
        "api": sum(family_seconds(process) for process in api),
        "postgresql": family_seconds(parents[row[0] if row else 0]),
    }
