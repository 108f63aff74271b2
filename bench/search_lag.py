"""How late the search server is: from the answer to a change of a product until the server shows it.

    SOUK_SEARCH_URL=... SOUK_HOME=... souk up --detach && SOUK_SEARCH_URL=... SOUK_HOME=... python -m bench.search_lag

Sellers change prices at an even rate; beside them the server itself is asked, as a shop's search would ask it, which of
the new prices it shows. The time between two such questions is part of what is told.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "souk.settings")
django.setup()

from bench.calling import Caller, Line  # noqa: E402  # Django must be set up before models can be imported
from bench.live import shown  # noqa: E402  # the same
from bench.serving import make_callers, make_products  # noqa: E402  # the same
from souk import settings  # noqa: E402  # the same
from souk.search import gateway  # noqa: E402  # the same

RESULT = Path(__file__).parent / "results" / "search_lag.json"
PRODUCTS, HANDS = 2000, 4
PATIENCE_SECONDS = 30.0


class Changes:
    """What was changed and is not shown yet: the new price of each product, and when its change was answered."""

    def __init__(self) -> None:
        self.waiting: dict[UUID, tuple[int, float]] = {}
        self.delays: list[float] = []
        self.changed = 0
        self._lock = threading.Lock()

    def add(self, product: UUID, price: int) -> None:
        """The change was answered now."""
        with self._lock:
            self.changed += 1
            self.waiting[product] = (price, time.monotonic())

    def look(self) -> None:
        """Ask the server once for all that is waiting."""
        with self._lock:
            asked = dict(self.waiting)
        if not asked:
            return
        body = {"size": len(asked), "_source": ["price"], "query": {"ids": {"values": [str(one) for one in asked]}}}
        hits = gateway.ask("POST", f"/{gateway.ALIAS}/_search", json.dumps(body).encode())["hits"]["hits"]
        now = time.monotonic()
        with self._lock:
            for hit in hits:
                product = UUID(hit["_id"])
                price, at = asked[product]
                if hit["_source"].get("price") == price and self.waiting.get(product) == (price, at):
                    del self.waiting[product]
                    self.delays.append(1000 * max(now - at, 0.0))


def change(
    changes: Changes, port: int, seller: Caller, products: list[UUID], *, hand: int, rate: float, until: float
) -> None:
    """Change the products of one hand, one after the other, at its share of the rate."""
    line, mine, due = Line(port), products[hand::HANDS], time.monotonic()
    for number in range(sys.maxsize):
        due += HANDS / rate
        time.sleep(max(due - time.monotonic(), 0))
        if time.monotonic() > until:
            return
        product, price = mine[number % len(mine)], 2000 + number
        body = {"price": {"amount": price, "currency": "EUR"}}
        status, _, answer = line.send("PATCH", f"/products/{product}", seller.token, body)
        if status != 200:
            raise RuntimeError(answer.decode())
        changes.add(product, price)


def measured(port: int, seller: Caller, products: list[UUID], *, rate: float, seconds: float) -> dict[str, Any]:
    """Change at this rate for so many seconds, then wait for the rest."""
    changes, until = Changes(), time.monotonic() + seconds
    hands = [
        threading.Thread(
            target=change, args=[changes, port, seller, products], kwargs={"hand": hand, "rate": rate, "until": until}
        )
        for hand in range(HANDS)
    ]
    for hand in hands:
        hand.start()
    while any(hand.is_alive() for hand in hands) or (changes.waiting and time.monotonic() < until + PATIENCE_SECONDS):
        changes.look()
        time.sleep(0.05)
    return {
        "asked_per_second": rate,
        "changed": changes.changed,
        "per_second": round(changes.changed / seconds, 1),
        "never_shown": len(changes.waiting),
        "milliseconds": shown(changes.delays),
    }


def main() -> None:
    """Measure at the stack of SOUK_HOME and write down what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    (seller,) = make_callers(1, f"lag{int(time.time())}")
    products = make_products(PRODUCTS, seller, stock=10)
    state = json.loads((settings.HOME / "run" / "state.json").read_text())
    port = int(state["url"].rpartition(":")[2])
    found: dict[str, Any] = {"server": gateway.version(), "load_before": round(os.getloadavg()[0], 1)}
    found |= measured(port, seller, products, rate=options.rate, seconds=options.seconds)
    RESULT.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
