"""`python -m bench.staff_pages`: open every list of the pages for staff with a million orders, with its query plans.

Prints a table and writes `bench/results/staff_pages.json`. `--keep FOLDER` keeps the database there, to be measured
again without making it anew.
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

from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from bench.orders_placing import RESULTS, machine
from bench.plans import plans_of
from bench.serving import environment, migrate
from bench.staff_seed import seed
from souk import settings
from souk.accounts.models import User
from souk.accounts.operations import create_user
from souk.orders.models import Order
from souk.stack.postgres import running_postgres

TIMES = 5


def lists() -> list[str]:
    """Every list with its filters and searches, and the page of one row."""
    newest = Order.all_objects.order_by("-id").first()
    oldest = Order.all_objects.order_by("id").first()
    assert newest is not None and oldest is not None  # noqa: S101, PT018  # the shop is full
    return [
        "",
        "orders/order/",
        "orders/order/?p=199",
        "orders/order/?state=ACCEPTED",
        "orders/order/?state=PENDING_CONFIRMATION",
        "orders/order/?o=4",
        "orders/order/?q=buyer-0001",
        f"orders/order/?q={oldest.pk}",
        f"orders/order/{newest.pk}/change/",
        "payments/payment/",
        f"payments/payment/?q={oldest.pk}",
        "catalog/product/",
        "catalog/product/?q=seller-0000",
        "catalog/tag/",
        "accounts/user/",
        "accounts/user/?q=buyer-0001",
        "webhooks/webhook/",
        "webhooks/webhook/?q=seller-0000",
        "reactions/deadletter/",
        "eventlog/event/",
        "eventlog/event/?p=199",
        f"eventlog/event/?q={oldest.pk}",
    ]


def main() -> None:
    """Measure, print, write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--orders", type=int, default=1_000_000)
    asked.add_argument("--keep", type=Path)
    arguments = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="souk-bench-") as folder:
        home = arguments.keep or Path(folder)
        with running_postgres(home / "home", durable=False) as url:
            connections["default"].settings_dict.update(settings.database(url))
            pages = measured(url, home, orders=arguments.orders)
            connection.close()
    found = {"machine": machine(), "orders": arguments.orders, "pages": pages}
    (RESULTS / "staff_pages.json").write_text(json.dumps(found, indent=1) + "\n")
    for address, page in pages.items():
        sys.stdout.write(f"{page['milliseconds']:>8.1f} ms {page['statements']:>3} {page['rows_read']:>6}  {address}\n")


def measured(url: str, home: Path, *, orders: int) -> dict[str, Any]:
    """The median milliseconds of each page, through Django alone; its statements, the rows they read, their plans."""
    migrate(environment(url, home / "home"))
    if not User.all_objects.filter(username="boss").exists():
        seed(url, orders=orders)
        create_user(username="boss", password=secrets.token_urlsafe(), is_staff=True)
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(User.objects.get(username="boss"), backend="souk.accounts.authentication.PasswordBackend")
    return {address or "overview": looked_at(client, address) for address in lists()}


def looked_at(client: Client, address: str) -> dict[str, Any]:
    """One page."""
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        status = client.get(f"/admin/{address}").status_code
        took.append(1000 * (time.perf_counter() - began))
        if status != 200:
            raise SystemExit(f"/admin/{address} answered {status}")
    with CaptureQueriesContext(connection) as asked:
        client.get(f"/admin/{address}")
    plans = plans_of(asked.captured_queries)
    return {
        "milliseconds": round(median(took), 1),
        "statements": len(asked.captured_queries),
        "counts": sum("COUNT(" in one["sql"] for one in asked.captured_queries),
        "rows_read": sum(plan.rows_read for plan in plans),
        "plans": sorted({node for plan in plans for node in plan.nodes}),
    }


if __name__ == "__main__":
    main()
