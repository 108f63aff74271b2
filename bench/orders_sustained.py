"""`python -m bench.orders_sustained`: place and confirm orders on a whole running stack, and watch them be accepted.

Starts an embedded stack of its own (API, live, worker, clock, capture, PostgreSQL, Valkey) in a folder of its own, or
takes the running one of `--home`. Clients ask for `--rate` orders per second for `--minutes`; an order is placed,
then confirmed, and accepted through the log. Prints and writes `bench/results/orders_sustained.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections

from bench.orders_load import PROCESSES, THREADS, all_at_once, order_steadily
from bench.orders_placing import RESULTS, machine
from bench.processes import family_seconds
from bench.serving import make_callers, make_products
from souk import settings

CLIENTS = PROCESSES * THREADS
LOOK_EVERY_SECONDS = 5.0
PATIENCE_SECONDS = 120.0
STATES = "SELECT state, count(*) FROM orders_order GROUP BY state"
WAITED = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM accepted_at - confirmed_at) * 1000)
  FROM orders_order WHERE state = 'ACCEPTED'
"""


def main() -> None:
    """Measure, print, write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rate", type=float, default=200.0)
    asked.add_argument("--minutes", type=float, default=3.0)
    asked.add_argument("--products", type=int, default=10_000)
    asked.add_argument("--buyers", type=int, default=5_000)
    asked.add_argument("--home", default="", help="SOUK_HOME of a running stack, with an empty database")
    arguments = asked.parse_args()
    with nullcontext(Path(arguments.home)) if arguments.home else stack() as home:
        found = measured(home, arguments)
    found = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "orders_sustained.json").write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


@contextmanager
def stack() -> Iterator[Path]:
    """A whole embedded stack under a folder of its own, its limits and its durability as they are for everybody."""
    with tempfile.TemporaryDirectory(prefix="souk-bench-") as folder:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOUK_", "DEBEZIUM_"))}
        env = {**kept, "SOUK_HOME": folder, "SOUK_LIVE_PORT": "0"}
        souk = [sys.executable, "-m", "souk"]
        try:
            subprocess.run([*souk, "up", "--detach", "--port", "0"], env=env, check=True, stdout=subprocess.DEVNULL)
            yield Path(folder)
        finally:
            subprocess.run([*souk, "down"], env=env, check=True, stdout=subprocess.DEVNULL)


def measured(home: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The figures of one run on the stack at `home`."""
    environment = dict(line.split("=", 1) for line in (home / "run" / "environment").read_text().splitlines())
    state = json.loads((home / "run" / "state.json").read_text())
    url, port = environment["SOUK_DATABASE_URL"], int(state["url"].rpartition(":")[2])
    connections["default"].settings_dict.update(settings.database(url))
    (seller,) = make_callers(1, "seller")
    buyers = make_callers(asked.buyers, "buyer")
    products = [str(one) for one in make_products(asked.products, seller, stock=1_000_000)]
    pids = {service["name"]: int(service["pid"]) for service in state["services"]}
    with psycopg.connect(url, autocommit=True) as line:
        line.execute("VACUUM ANALYZE")
        wait_until_numbered(line)
        client = (port, buyers, products, asked.rate / CLIENTS)
        all_at_once(order_steadily, [(*client, 5.0)] * CLIENTS)  # caches warm
        settle(line)
        return played(line, client, asked, pids)


def played(
    line: psycopg.Connection[Any],
    client: tuple[Any, ...],
    asked: argparse.Namespace,
    pids: dict[str, int],
) -> dict[str, Any]:
    """Run the clients while somebody counts; what came of it."""
    before = {name: family_seconds(pid) for name, pid in pids.items()}
    accepted = -counted(line).get("ACCEPTED", 0)
    with watched(line) as looks:
        heard, took = all_at_once(order_steadily, [(*client, 60.0 * asked.minutes)] * CLIENTS)
    left, ended = counted(line).get("CONFIRMED", 0), time.monotonic()
    accepted += settle(line).get("ACCEPTED", 0)
    drained = time.monotonic()
    spent = {name: family_seconds(pid) - before[name] for name, pid in pids.items()}
    spent["clients"] = heard.processor_seconds
    (waited,) = line.execute(WAITED).fetchone() or (None,)
    (waited,) = line.execute(WAITED).fetchone() or (None,)
    return {
        "asked_per_second": asked.rate,
        "seconds": round(took, 1),
        "accepted": accepted,
        "confirmed_per_second": round(len(heard.orders) / took, 1),
        "accepted_per_second": round((accepted - left) / took, 1),
        "backlog_at_the_end": left,
        "drained_in_seconds": round(drained - ended, 1),
        "place_ms": {"p50": heard.percentile(0.5), "p99": heard.percentile(0.99)},
        "confirmed_to_accepted_ms": {"p50": round(waited[0], 1), "p99": round(waited[1], 1)} if waited else None,
        "outcomes": dict(heard.outcomes),
        "processor_seconds": {name: round(value, 1) for name, value in spent.items()},
        "processor_ms_per_order": {name: round(1000 * value / max(accepted, 1), 2) for name, value in spent.items()},
        "over_time": looks,
    }


@contextmanager
def watched(line: psycopg.Connection[Any]) -> Iterator[list[dict[str, Any]]]:
    """Count the orders every few seconds until the block ends."""
    looks: list[dict[str, Any]] = []
    began, stop = time.monotonic(), threading.Event()

    def look() -> None:
        while not stop.wait(LOOK_EVERY_SECONDS):
            states, second = counted(line), round(time.monotonic() - began)
            looks.append(
                {"second": second, "accepted": states.get("ACCEPTED", 0), "backlog": states.get("CONFIRMED", 0)}
            )

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield looks
    finally:
        stop.set()
        watching.join()


def counted(line: psycopg.Connection[Any]) -> dict[str, int]:
    """How many orders there are in each state."""
    return dict(line.execute(STATES).fetchall())


def settle(line: psycopg.Connection[Any]) -> dict[str, int]:
    """Wait until no order waits for its payment any more; how many there are in each state then."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (states := counted(line)).get("CONFIRMED", 0):
        if time.monotonic() > until:
            raise RuntimeError(f"orders stay confirmed: {states}")
        time.sleep(0.2)
    return states


def wait_until_numbered(line: psycopg.Connection[Any]) -> None:
    """Wait until the products' own events have their place in the feed: they are not what is measured."""
    until = time.monotonic() + PATIENCE_SECONDS
    while line.execute("SELECT 1 FROM eventlog_event WHERE position IS NULL LIMIT 1").fetchone():
        if time.monotonic() > until:
            raise RuntimeError("the events of the catalogue are not numbered")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
