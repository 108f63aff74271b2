"""`python -m bench.search`: requests per second of the reading doors, each beside its SQL alone under pgbench."""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from bench.catalogue import PEOPLE, fill, word_of
from bench.server import cpu_seconds, database, pgbench, post, serving, wrk
from souk import settings
from souk.catalog.operations.showing import ONE, SUGGESTED_BEGINNING
from souk.kit.postgresql.prepared import with_limit
from souk.search.operations.finding import BEST as BEST_FOUND
from souk.search.operations.finding import BUDGET, CANDIDATES, FOUND, NEWEST, OF_FOLLOWED, OF_SELLER

RESULTS = Path(__file__).parent / "results"
RARE_TAG, RARE_SELLER, FOLLOWER = "tag-150", "seller-900", "follower"
# Somebody who follows all sellers of the catalogue.
FOLLOWS = """
    INSERT INTO accounts_follow (id, created, updated, follower_id, followed_id)
    SELECT gen_random_uuid(), now(), now(), f.id, s.id
      FROM accounts_user f JOIN accounts_user s ON s.username LIKE 'seller-%%'
     WHERE f.username = %s
    ON CONFLICT DO NOTHING
"""


def doors(one: dict[str, str]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Name -> path, statement and what fills its parameters."""
    searches = {
        "search, 27 % match": {"q": "ordinary"},
        "search, 1 % match": {"q": "curious"},
        "search, oldest only": {"q": "primeval"},
        "search, common only in the older half": {"q": "former"},
        "search, nothing matches but a near spelling": {"q": "primevall"},
        "rare tag and common word": {"q": "ordinary", "tag": RARE_TAG},
        "rare seller and common word": {"q": "ordinary", "seller": one["seller"]},
        "rare price, available, common word": {
            "q": "ordinary", "min_price": "900000000", "currency": "EUR", "available": "true",
        },
        "two words of 1 % each": {"q": "+".join(word_of(rank) for rank in (457, 458))},
        "four words of 5 % each": {"q": "+".join(word_of(rank) for rank in range(90, 94))},
        "ten words of 10 % each": {"q": "+".join(word_of(rank) for rank in range(40, 50))},
        "common tag": {"tag": "tag-1"},
        "not a word": {"q": "-ordinary"},
    }  # fmt: skip
    found = {name: (path(query), FOUND, parameters(query)) for name, query in searches.items()}
    newest = {"before": "ffffffff-ffff-ffff-ffff-ffffffffffff", "limit": 20, "caller_id": None}
    first = {"score": None, "candidates": CANDIDATES, "before": None}
    best = {
        "by relevance, 27 % match": {"q": "ordinary", "sort": "relevance"},
        "by relevance, four words of 5 % each": {**searches["four words of 5 % each"], "sort": "relevance"},
    }
    rated = {name: (path(query), BEST_FOUND, parameters(query) | first) for name, query in best.items()}
    return {
        "list": ("/products", NEWEST, newest),
        "show": (f"/products/{one['product']}", ONE, {"id": one["product"], "caller_id": None}),
        "tag suggestions": ("/tags?prefix=tag-1", SUGGESTED_BEGINNING, {"prefix": "tag-1", "limit": 10}),
        "feed of 1,000 followed": ("/me/feed", OF_FOLLOWED, {**newest, "follower": one["follower"]}),
        "store of a user": (f"/users/{one['seller']}/products", OF_SELLER, {**newest, "seller": one["seller"]}),
        **found,
        **rated,
    }


def path(query: dict[str, str]) -> str:
    """The address of a search."""
    return "/products?" + "&".join(f"{name}={value}" for name, value in query.items())


def parameters(query: dict[str, str]) -> dict[str, Any]:
    """What the door makes of the query."""
    return {
        "words": query["q"].replace("+", " ") if "q" in query else None,
        "tags": [query["tag"]] if "tag" in query else [],
        "seller": query.get("seller"),
        "currency": query.get("currency"),
        "least": int(query["min_price"]) if "min_price" in query else None,
        "most": None,
        "available": "available" in query,
        "before": "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "limit": 20,
        "budget": BUDGET,
        "caller_id": None,
    }


def literal(statement: str, values: dict[str, Any]) -> str:
    """The statement with its parameters written out, for pgbench."""
    texts = {name: written(value) for name, value in values.items()}
    return with_limit(statement, values.get("limit", 0) + 1) % texts


def written(value: Any) -> str:
    """A value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "'{" + ",".join(value) + "}'"
    return str(value) if isinstance(value, bool | int) else f"'{value}'"


def measured(url: str, one: dict[str, str], *, seconds: int, only: str) -> dict[str, Any]:
    """Every door under wrk and its statement under pgbench, one after the other, so that both meet the same machine."""
    told: dict[str, Any] = {}
    with serving(url) as address:
        token = signed_in(url, address)
        for name, (where, statement, values) in doors(one).items():
            if only not in name:
                continue
            bearer = token if where.startswith("/me/") else None
            wrk(f"{address}/api/v1{where}", seconds=1, token=bearer)
            before = cpu_seconds(url)
            load = wrk(f"{address}/api/v1{where}", seconds=seconds, token=bearer)
            after = cpu_seconds(url)
            answers = load.per_second * seconds / 1000
            used = [round((late - early) / answers, 3) for early, late in zip(before, after, strict=True)]
            ceiling = pgbench(url, literal(statement, values), seconds=seconds)
            told[name] = {
                **asdict(load),
                "ceiling": ceiling,
                "ratio": round(load.per_second / ceiling, 2),
                "api_cpu_ms": used[0],
                "database_cpu_ms": used[1],
            }
            if name == "list":
                told["list with a bearer"] = asdict(wrk(f"{address}/api/v1{where}", seconds=seconds, token=token))
            print(name, told[name], flush=True)  # noqa: T201  # a measurement talks to a terminal
    return told


def signed_in(url: str, address: str) -> str:
    """The token of a new user, who follows all sellers."""
    name, password = f"bench-{secrets.token_hex(4)}", secrets.token_hex(16)
    post(f"{address}/api/v1/users", {"username": name, "password": password})
    grant = {"grant_type": "password", "username": name, "password": password, "client_id": "souk-web"}
    with psycopg.connect(url) as connection:
        connection.execute(FOLLOWS, [name])
        connection.execute("ANALYZE accounts_follow, accounts_user")
    return str(post(f"{address}/oauth/token", grant, form=True)["access_token"])


def subjects(url: str) -> dict[str, str]:
    """A product in the middle, a seller with few products, and somebody who follows all sellers."""
    with psycopg.connect(url) as connection:
        connection.execute(PEOPLE, [[FOLLOWER]])
        connection.execute(FOLLOWS, [FOLLOWER])
        connection.execute("ANALYZE accounts_follow, accounts_user")
        found = connection.execute(
            "SELECT (SELECT id FROM catalog_product ORDER BY id OFFSET 5000 LIMIT 1),"
            " (SELECT id FROM accounts_user WHERE username = %s), (SELECT id FROM accounts_user WHERE username = %s)",
            [RARE_SELLER, FOLLOWER],
        ).fetchone()
    return dict(zip(("product", "seller", "follower"), map(str, found or ()), strict=True))


def main() -> None:
    """Measure, print, and write bench/results/search-<products>.json."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--products", type=int, default=10_000)
    asked.add_argument("--seconds", type=int, default=4)
    asked.add_argument("--only", default="", help="measure the doors whose names contain this, and write nothing")
    asked.add_argument("--keep", action="store_true", help="keep the database for the next run")
    options = asked.parse_args()
    server = os.environ["SOUK_DATABASE_URL"]
    with database(server, f"souk_bench_{options.products}", keep=options.keep) as (url, new):
        if new:
            fill(url, options.products)
        told = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, {settings.API_THREADS} threads per process,"
            f" load {os.getloadavg()[0]:.1f} before",
            "products": options.products,
            "doors": measured(url, subjects(url), seconds=options.seconds, only=options.only),
        }
    if not options.only:
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(told, indent=1)
        (RESULTS / f"search-{options.products}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
