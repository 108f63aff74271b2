"""Many listeners at the live process of a running stack: its memory, and how soon an order reaches its buyer.

    SOUK_HOME=... souk up --detach && SOUK_HOME=... python -m bench.live --listeners 2000

Times are from the event's moment, which the database takes inside the transaction, to the last byte at the listener.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "souk.settings")
django.setup()

from bench.calling import Caller, Line  # noqa: E402  # Django must be set up before models can be imported
from bench.serving import make_callers, make_products  # noqa: E402  # the same
from souk import settings  # noqa: E402  # the same

RESULT = Path(__file__).parent / "results" / "live.json"
OF_ONE_USER = 15
ORDERS = 40


async def listen(port: int, token: str, opened: asyncio.Semaphore, heard: list[tuple[str, float]]) -> None:
    """One connection that notes what it hears and when."""
    async with opened:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        while not (await reader.readline()).startswith(b"id: "):
            pass
    while line := await reader.readline():
        if line.startswith(b"data: "):
            heard.append((json.loads(line[6:])["created"], time.time()))


def memory_of(pid: int) -> dict[str, float]:
    """Resident and proportional memory of a process and its children, in MiB."""
    found = {"Rss": 0, "Pss": 0}
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in [str(pid), *children]:
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in found:
                found[name] += int(value.split()[0])
    return {name.lower(): round(kilobytes / 1024, 1) for name, kilobytes in found.items()} | {
        "processes": 1 + len(children)
    }


def shown(delays: list[float]) -> dict[str, float]:
    """The delays in milliseconds."""
    cuts = statistics.quantiles(delays, n=100)
    return {
        "hearings": len(delays),
        "p50": round(cuts[49], 1),
        "p95": round(cuts[94], 1),
        "longest": round(max(delays), 1),
    }


async def measured(
    state: dict[str, Any], port: int, callers: list[Caller], listeners: int, product: str
) -> dict[str, Any]:
    """Open the connections, look at the memory, place the orders."""
    pid = next(one["pid"] for one in state["services"] if one["name"] == "live")
    before = memory_of(pid)
    opened, heard = asyncio.Semaphore(50), []  # type: ignore[var-annotated]  # its items are those of listen
    tasks = [
        asyncio.create_task(listen(port, callers[number % len(callers)].token, opened, heard))
        for number in range(listeners)
    ]
    while opened.locked() or sum(task.done() for task in tasks) or len(tasks) < listeners:
        await asyncio.sleep(0.2)
    await asyncio.sleep(20)  # over a heartbeat
    with_listeners = memory_of(pid)
    line = Line(int(state["url"].rpartition(":")[2]))
    for number in range(ORDERS):
        body = {"lines": [{"product_id": product, "quantity": 1}]}
        status, _, answer = await asyncio.to_thread(line.send, "POST", "/orders", callers[number].token, body)
        if status != 201:
            raise RuntimeError(answer.decode())
        await asyncio.sleep(0.1)
    await asyncio.sleep(2)
    delays = [(at - datetime.fromisoformat(created).timestamp()) * 1000 for created, at in heard]
    for task in tasks:
        task.cancel()
    return {"listeners": listeners, "users": len(callers), "mib_before": before, "mib": with_listeners} | {
        "milliseconds": shown(delays)
    }


def main() -> None:
    """Measure at the stack of SOUK_HOME and write down what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=2000)
    listeners = parser.parse_args().listeners
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    prefix = f"ear{int(time.time())}"
    callers = make_callers(-(-listeners // OF_ONE_USER), prefix)
    (seller,) = make_callers(1, f"{prefix}-seller")
    (product,) = make_products(1, seller, stock=10_000)
    state = json.loads((settings.HOME / "run" / "state.json").read_text())
    found: dict[str, Any] = {"load_before": round(os.getloadavg()[0], 1)}
    found |= asyncio.run(measured(state, settings.LIVE_PORT, callers, listeners, str(product)))
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
