"""`python -m bench.staff_pages`: open every list of the pages for staff with a million orders.

Prints a table and writes `bench/results/staff_pages.json`.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from django.test import Client

from bench.orders_expiring import SEED
from bench.orders_placing import RESULTS, database, machine
from bench.serving import environment, make_callers, make_products, migrate
from souk.accounts.operations import create_user

LISTS = (
    "",
    "orders/order/",
    "orders/order/?p=199",
    "orders/order/?state=ACCEPTED",
    "orders/order/?q=buyer-1",
    "payments/payment/",
    "catalog/product/",
    "catalog/tag/",
    "accounts/user/",
    "accounts/user/?q=buyer-1",
    "webhooks/webhook/",
    "reactions/deadletter/",
    "eventlog/event/",
)
TIMES = 5


def main() -> None:
    """Measure, print, write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--orders", type=int, default=1_000_000)
    asked.add_argument("--database", default="")
    arguments = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="souk-bench-") as folder, database(arguments.database, Path(folder)) as url:
        found = measured(url, Path(folder), orders=arguments.orders)
    found = {"machine": machine(), "orders": arguments.orders, "milliseconds": found}
    (RESULTS / "staff_pages.json").write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


def measured(url: str, folder: Path, *, orders: int) -> dict[str, float]:
    """The median milliseconds of each list, through Django alone, by its address."""
    migrate(environment(url, folder / "home"))
    (seller,) = make_callers(1, "seller")
    buyer, *_ = make_callers(2, "buyer")
    make_products(1000, seller, stock=1_000_000)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SEED, {"buyer": buyer.id, "pending": orders, "every": orders + 1})
        connection.execute("VACUUM ANALYZE")
    client = signed_in()
    return {address or "overview": timed(client, address) for address in LISTS}


def signed_in() -> Any:
    """A browser of a member of the staff."""

    member = create_user(username="boss", password=secrets.token_urlsafe(), is_staff=True)
    client = Client()
    client.force_login(member, backend="souk.accounts.authentication.PasswordBackend")
    return client


def timed(client: Any, address: str) -> float:
    """The median of a few times."""
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        status = client.get(f"/admin/{address}").status_code
        took.append(1000 * (time.perf_counter() - began))
        if status != 200:
            raise SystemExit(f"/admin/{address} answered {status}")
    return round(median(took), 1)


if __name__ == "__main__":
    main()
