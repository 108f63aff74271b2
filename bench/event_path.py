"""`python -m bench.event_path`: what the way from a commit to its effect costs, and how long it takes.

Starts an embedded stack of its own. Four parts: what capture costs per event at several rates; how long an event takes
to its consumer at 50 events per second; how fast one worker drains what waited for it; how much memory is used.
Prints and writes `bench/results/event_path.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import redis
from django.db import connections

from bench.orders_load import PROCESSES, THREADS, all_at_once, order_steadily
from bench.orders_placing import RESULTS, machine
from bench.orders_sustained import settle, stack, wait_until_numbered
from bench.processes import family_seconds
from bench.serving import make_callers, make_products
from souk import settings

CLIENTS = PROCESSES * THREADS
STREAM = "souk.events.sample"
EVENTS_OF_AN_ORDER = 5
PAUSE_SECONDS = 0.004
TELL = """
INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)
SELECT 'sample.told', 'sample', gen_random_uuid(), 1,
       jsonb_build_object('reference', gen_random_uuid(), 'amount', 1250, 'currency', 'EUR', 'told', %(told)s::float8),
       'system', ARRAY[gen_random_uuid(), gen_random_uuid()]
  FROM generate_series(1, 2)
"""
# From the event's making, a moment before its commit, to the note that the consumer has it.
HEARD_AFTER = """
SELECT p.consumer, count(*),
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM p.at - e.created) * 1000)
  FROM reactions_processed p JOIN eventlog_event e ON e.id = p.event_id
 WHERE e.created >= %(since)s GROUP BY p.consumer
"""
CONSUMERS = {1: "payments", 2: "orders"}


def main() -> None:
    """Measure, print, write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=20.0, help="of each rate")
    asked.add_argument("--rates", type=int, nargs="*", default=[0, 50, 500, 1000], help="events per second")
    asked.add_argument("--drain", type=int, default=20_000, help="events with an effect that wait for the worker")
    arguments = asked.parse_args()
    with stack() as home:
        found = measured(home, arguments)
    found = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "event_path.json").write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def measured(home: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The figures of the stack at `home`."""
    environment = dict(line.split("=", 1) for line in (home / "run" / "environment").read_text().splitlines())
    state = json.loads((home / "run" / "state.json").read_text())
    pids = {service["name"]: int(service["pid"]) for service in state["services"]}
    url, port = environment["SOUK_DATABASE_URL"], int(state["url"].rpartition(":")[2])
    connections["default"].settings_dict.update(settings.database(url))
    (seller,) = make_callers(1, "seller")
    client = (port, make_callers(1000, "buyer"), [str(one) for one in make_products(1000, seller, stock=1_000_000)])
    with (
        psycopg.connect(url, autocommit=True) as line,
        redis.Redis.from_url(environment["SOUK_REDIS_URL"]) as streams,
    ):
        line.execute("VACUUM ANALYZE")
        wait_until_numbered(line)
        found: dict[str, Any] = {"memory_at_rest_mib": memory(pids)}
        captured(line, streams, pids, 200, 10)  # code compiled
        found["capture"] = [captured(line, streams, pids, rate, asked.seconds) for rate in asked.rates]
        found["commit_to_consumer"] = heard(line, client, asked.seconds)
        found["drain"] = drained(line, streams, client, pids, asked.drain)
        found["memory_mib"] = memory(pids)
        return found


def captured(
    line: psycopg.Connection[Any], streams: Any, pids: Mapping[str, int], rate: int, seconds: float
) -> dict[str, Any]:
    """Tell `rate` events per second, two to a transaction; processor time by process and the delay to the stream."""
    told, began = 0, time.monotonic()
    before = {name: family_seconds(pid) for name, pid in pids.items()}
    with listened(streams) as delays:
        while (passed := time.monotonic() - began) < seconds:
            while told < passed * rate:
                line.execute(TELL, {"told": time.time()}, prepare=True)
                told += 2
            time.sleep(PAUSE_SECONDS)
        until = time.monotonic() + 60
        while len(delays) < told and time.monotonic() < until:
            time.sleep(0.01)
    took = time.monotonic() - began
    spent = {name: family_seconds(pid) - before[name] for name, pid in pids.items()}
    return {
        "events_per_second": round(told / took),
        "commit_to_stream_ms": percentiles(delays),
        "processor_percent": {name: round(100 * value / took, 1) for name, value in spent.items()},
        "microseconds_per_event": {name: round(1e6 * value / told) for name, value in spent.items()} if told else {},
    }


@contextmanager
def listened(streams: Any) -> Iterator[list[float]]:
    """The milliseconds that each entry of the sample stream took, while the block lasts."""
    delays: list[float] = []
    stop, last = threading.Event(), "$"
    if streams.exists(STREAM):
        last = streams.xinfo_stream(STREAM)["last-generated-id"]

    def listen() -> None:
        seen: Any = last if last != "$" else "0"
        while not stop.is_set():
            for _, entries in streams.xread({STREAM: seen}, count=5000, block=200) or []:
                now, seen = time.time(), entries[-1][0]
                told = [json.loads(json.loads(fields[b"value"])["payload"])["told"] for _, fields in entries]
                delays.extend(1000 * (now - moment) for moment in told)

    listening = threading.Thread(target=listen)
    listening.start()
    try:
        yield delays
    finally:
        stop.set()
        listening.join()


def heard(line: psycopg.Connection[Any], client: tuple[Any, ...], seconds: float) -> dict[str, Any]:
    """Ten orders per second, which is 50 events: the delay to each consumer."""
    (since,) = line.execute("SELECT clock_timestamp()").fetchone() or (None,)
    each = 50 / EVENTS_OF_AN_ORDER / CLIENTS
    all_at_once(order_steadily, [(*client, each, max(seconds, 30.0))] * CLIENTS)
    settle(line)
    rows = line.execute(HEARD_AFTER, {"since": since}).fetchall()
    return {
        CONSUMERS[number]: {
            "events": count,
            **dict(zip(("p50", "p95", "p99"), [round(one, 1) for one in ms], strict=True)),
        }
        for number, count, ms in rows
    }


def drained(
    line: psycopg.Connection[Any], streams: Any, client: tuple[Any, ...], pids: Mapping[str, int], events: int
) -> dict[str, Any]:
    """Let orders be confirmed while worker and clock stand still; then the worker goes on, alone."""
    orders = events // 2  # each has a payment that is asked for, and an acceptance
    for name in ("worker", "clock"):
        os.kill(pids[name], signal.SIGSTOP)
    try:
        while (waiting := confirmed(line)) < orders:
            rate = 400 / CLIENTS
            all_at_once(order_steadily, [(*client, rate, min(30.0, 1 + (orders - waiting) / 100))] * CLIENTS)
        until = time.monotonic() + 60
        while streams.xlen("souk.events.payment") < waiting and time.monotonic() < until:
            time.sleep(0.1)
        before = {name: family_seconds(pid) for name, pid in pids.items()}
        os.kill(pids["worker"], signal.SIGCONT)
        began = time.monotonic()
        settle(line)
        took = time.monotonic() - began
    finally:
        for name in ("worker", "clock"):
            os.kill(pids[name], signal.SIGCONT)
    spent = {name: family_seconds(pid) - before[name] for name, pid in pids.items()}
    return {
        "events_with_an_effect": 2 * waiting,
        "seconds": round(took, 1),
        "events_per_second": round(2 * waiting / took),
        "processor_seconds": {name: round(value, 1) for name, value in spent.items()},
    }


def confirmed(line: psycopg.Connection[Any]) -> int:
    """How many orders wait for their payment."""
    (count,) = line.execute("SELECT count(*) FROM orders_order WHERE state = 'CONFIRMED'").fetchone() or (0,)
    return int(count)


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """p50, p95 and the greatest."""
    ranked = sorted(milliseconds)
    if not ranked:
        return {}
    return {
        "p50": round(ranked[len(ranked) // 2], 1),
        "p95": round(ranked[int(0.95 * (len(ranked) - 1))], 1),
        "max": round(ranked[-1], 1),
    }


def memory(pids: Mapping[str, int]) -> dict[str, float]:
    """MiB that worker and capture have in memory now."""
    found = {}
    for name in ("worker", "capture"):
        status = Path(f"/proc/{pids[name]}/status").read_text()
        kilobytes = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
        found[name] = round(int(kilobytes) / 1024, 1)
    return found


if __name__ == "__main__":
    main()
