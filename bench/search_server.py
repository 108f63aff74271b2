"""`python -m bench.search_server [--products N]`: making the index, and the reading doors through a search server.

SOUK_DATABASE_URL names a PostgreSQL on which databases may be made, SOUK_SEARCH_URL the search server. The catalogue is
that of `bench.search`; it stays as it is, so nothing is late and no worker runs. The server keeps pages that are asked
for again while the index stays as it is; the doors "every time another" have a price of their own in each question.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.catalogue import fill
from bench.server import database, environment, serving, wrk

RESULTS = Path(__file__).parent / "results"
DOORS = {
    "list": "/products",
    "search, 27 % match": "/products?q=ordinary",
    "search, 1 % match": "/products?q=curious",
    "search, oldest only": "/products?q=primeval",
    "list, every time another": "/products?max_price=*&currency=EUR",
    "search, 27 % match, every time another": "/products?q=ordinary&max_price=*&currency=EUR",
    "search, 1 % match, every time another": "/products?q=curious&max_price=*&currency=EUR",
    "common tag": "/products?tag=tag-1",
    "rare price, available, common word": "/products?q=ordinary&min_price=900000000&currency=EUR&available=true",
    "by relevance, 27 % match": "/products?q=ordinary&sort=relevance",
}


def reindexed(url: str) -> dict[str, Any]:
    """Make the index: products, and how many a second were written."""
    command = [sys.executable, "-m", "souk", "search", "reindex"]
    told = subprocess.run(command, env=environment(url), capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+) products in ([\d.]+) s", told)
    if found is None:
        raise SystemExit(told)
    return {"products": int(found[1]), "per_second": round(int(found[1]) / float(found[2]))}


def measured(url: str, seconds: int) -> dict[str, Any]:
    """Every door under wrk. Raises SystemExit when PostgreSQL answered in the server's place."""
    told: dict[str, Any] = {}
    with serving(url) as address:
        for _ in range(60):
            if asked_there(address):
                break
            time.sleep(0.5)
        # Java compiles what is asked often: a server that was just started takes several times as long.
        for where in DOORS.values():
            wrk(f"{address}/api/v1{where}", seconds=seconds)
        for name, where in DOORS.items():
            wrk(f"{address}/api/v1{where}", seconds=1)
            told[name] = asdict(wrk(f"{address}/api/v1{where}", seconds=seconds))
            print(name, told[name], flush=True)  # noqa: T201  # a measurement talks to a terminal
            if not asked_there(address):
                raise SystemExit(f"{name}: the search server was given up")
    return told


def asked_there(address: str) -> bool:
    """Whether the API asks the search server."""
    with urllib.request.urlopen(f"{address}/health/ready", timeout=10) as answer:  # noqa: S310  # our own address
        return bool(json.load(answer)["checks"]["search"]["state"] == "ok")


def main() -> None:
    """Measure, print, and write bench/results/search-server-<products>.json."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--products", type=int, default=10_000)
    asked.add_argument("--seconds", type=int, default=4)
    asked.add_argument("--keep", action="store_true", help="keep the database for the next run")
    options = asked.parse_args()
    os.environ["SOUK_SEARCH_LAG_SECONDS"] = "1e9"
    before = f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f} before"
    with database(os.environ["SOUK_DATABASE_URL"], f"souk_bench_{options.products}", keep=options.keep) as (url, new):
        if new:
            fill(url, options.products)
        told = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": before,
            "reindex": reindexed(url),
            "doors": measured(url, options.seconds),
        }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(told, indent=1)
    (RESULTS / f"search-server-{options.products}.json").write_text(text + "\n", encoding="utf-8")
    print(told["reindex"])  # noqa: T201  # a measurement talks to a terminal


if __name__ == "__main__":
    main()
