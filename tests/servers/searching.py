"""A whole Souk that searches on a search server, and what a test asks of both."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.faults.ground import Ground
from tests.servers.searchers import Searcher
from tests.stack.private import wait_for

LAG_SECONDS = 5


@contextmanager
def searching_shop(url: str) -> Iterator[Ground]:
    """A Souk that searches there; its start makes the index."""
    made = Ground(Path(tempfile.mkdtemp(prefix="souk-search-")))
    named = {"SOUK_SEARCH_URL": url, "SOUK_SEARCH_LAG_SECONDS": str(LAG_SECONDS), "SOUK_RATE_LIMITS": "off"}
    made.stack.extra = {**made.stack.extra, **named}
    try:
        made.stack.up()
        yield made
    finally:
        made.stack.down()
        shutil.rmtree(made.stack.home, ignore_errors=True)


def wait_asked(client: httpx.Client) -> None:
    """Wait until the shop asks the server."""
    wait_for(lambda: search_of(client)["state"] == "ok", what="the server is asked", seconds=120)


def search_of(client: httpx.Client) -> dict[str, Any]:
    return dict(client.get("/health/ready").json()["checks"]["search"])


def found(client: httpx.Client, words: str, **query: str) -> list[str]:
    answer = client.get("/api/v1/products", params={"q": words, **query})
    assert answer.status_code == 200, answer.text
    return [one["title"] for one in answer.json()["results"]]


def indexed(searcher: Searcher, words: str) -> list[str]:
    """What the server itself would show of these words."""
    searcher.ask("POST", "/souk-products/_refresh")
    query = {"bool": {"filter": [{"term": {"visible": True}}, {"match": {"title": words}}]}}
    hits = searcher.ask("POST", "/souk-products/_search", {"query": query})["hits"]["hits"]
    return [hit["_source"]["title"] for hit in hits]


def status(shop: Ground, *arguments: str) -> tuple[int, str]:
    done = shop.stack.souk("search", "status", *arguments)
    return done.returncode, done.stdout + done.stderr


def wait_equal(shop: Ground) -> None:
    """Wait until every product there is as it is in the database."""
    wait_for(lambda: status(shop)[0] == 0, what="index and database are alike", seconds=120)
