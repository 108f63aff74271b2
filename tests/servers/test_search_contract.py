"""One suite of what searching means, run against PostgreSQL, OpenSearch and Elasticsearch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from rich.console import Console

from bench.relevance import found_by_souk, measured, read_judgements
from souk.catalog.models import Product
from souk.commands import icecat
from souk.commands.importing import import_file
from souk.eventlog.models import Event
from souk.search import gateway
from souk.search.gateway import client, refresh
from souk.search.models import Index
from souk.search.operations import choosing
from souk.search.operations.choosing import watch
from souk.search.operations.indexing import mark_outdated, write_outdated
from souk.search.operations.rebuilding import rebuild_index
from tests.api.test_search_products import (
    shop,
    test_near_spellings_are_offered_when_nothing_matches,
    test_sellers_and_ids_narrow_a_search,
    test_the_best_match_comes_first_by_relevance_and_pages_agree,
    test_what_is_asked_for_is_found_newest_first,
    titles,
)
from tests.callers import Answer, Api, SignedIn
from tests.servers.searchers import ELASTICSEARCH, KINDS, OPENSEARCH, Searcher, running
from tests.stack.private import wait_for

__all__ = [
    "shop",
    "test_near_spellings_are_offered_when_nothing_matches",
    "test_sellers_and_ids_narrow_a_search",
    "test_the_best_match_comes_first_by_relevance_and_pages_agree",
    "test_what_is_asked_for_is_found_newest_first",
]


@pytest.fixture(scope="module", params=["postgresql", *(kind.name for kind in KINDS)])
def searcher(asked_for: None, request: pytest.FixtureRequest) -> Iterator[Searcher | None]:
    """The server that searches; None: PostgreSQL itself."""
    kinds = {kind.name: kind for kind in (OPENSEARCH, ELASTICSEARCH)}
    if request.param not in kinds:
        yield None
        return
    with running(kinds[request.param]) as server:
        yield server


@pytest.fixture(autouse=True)
def engine(
    searcher: Searcher | None, clean_database: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Searcher | None]:
    """Souk with this server: every list of products is asked for when all that was written is in it."""
    if searcher is None:
        yield None
        return
    monkeypatch.setattr(settings, "SEARCH_URL", searcher.url)
    # No worker runs here, and a busy machine may be slow: neither is what this suite is about.
    monkeypatch.setattr(settings, "SEARCH_LAG", timedelta(days=1))
    monkeypatch.setattr(gateway, "SEARCH_SECONDS", 60.0)
    monkeypatch.setattr(choosing, "VERDICT_SECONDS", 600.0)
    monkeypatch.setattr(choosing.Watch, "failed", refuse)
    client.cache_clear()
    watch.cache_clear()
    begin_empty()
    wait_for(lambda: watch().told() == "" and watch().is_well(), what="the server is asked")
    get, told = Api.get, {"events": -1}

    def get_when_written(self: Api, path: str, *, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        events = Event.objects.count()
        if path == "/products" and events != told["events"]:
            settle()
            told["events"] = events
        return get(self, path, headers=headers, **query)

    monkeypatch.setattr(Api, "get", get_when_written)
    yield searcher
    watch().stop()
    client.cache_clear()


def begin_empty() -> None:
    """An empty index, known to the empty database. One is made for the whole module."""
    there = gateway.served_indices()
    if not there:
        rebuild_index(lambda text: None)
        return
    gateway.ask("POST", f"/{there[0]}/_delete_by_query", b'{"query":{"match_all":{}}}', refresh="true")
    Index.objects.create(name=there[0])


def refuse(self: choosing.Watch, why: str) -> None:
    raise AssertionError(f"PostgreSQL would have answered for the server: {why}")


def settle() -> None:
    """Write every product, as the worker does when it has heard of all of them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM catalog_product")
        mark_outdated([product_id for (product_id,) in cursor.fetchall()])
    while write_outdated():
        pass
    refresh(Index.objects.get().name)
    assert watch().is_well()


def test_the_pages_of_a_long_list_hold_each_product_once_in_order(seller: SignedIn, anonymous: Api) -> None:
    made = [seller.offer(f"Bead {number}", description="A glass bead.")["title"] for number in range(25)]
    assert titles(anonymous, q="bead", limit=7) == titles(anonymous, limit=7) == made[::-1]
    assert sorted(titles(anonymous, q="glass bead", sort="relevance", limit=4)) == sorted(made)


@pytest.mark.parametrize("order", ["newest", "relevance"])
def test_a_list_that_one_engine_began_is_ended_by_the_other(seller: SignedIn, anonymous: Api, order: str) -> None:
    made = [seller.offer(f"Bead {number}", description="A glass bead.")["title"] for number in range(6)]
    first = anonymous.get("/products", q="glass bead", sort=order, limit=3).body
    with pytest.MonkeyPatch.context() as away:
        away.setattr(settings, "SEARCH_URL", "")
        rest = Api().send("GET", f"/products?q=glass+bead&sort={order}&limit=3&cursor={first['next']}").body
    found = [one["title"] for one in [*first["results"], *rest["results"]]]
    assert found == made[::-1]
    assert rest["next"] is None


def test_judged_questions_reach_the_agreed_relevance_there(engine: Searcher | None, real_data: Path) -> None:
    if engine is None:
        pytest.skip("PostgreSQL's own relevance is measured in tests/api/test_search_relevance.py")
    source = real_data / "icecat" / "products.jsonl.gz"
    import_file(source, mapped=icecat.line_of, batch=2000, console=Console(quiet=True), tell=lambda text: None)
    rebuild_index(lambda text: None)
    judged = read_judgements(real_data / "icecat" / "judgements_dev.csv.gz")
    known = dict(Product.objects.values_list("id", "external_id"))
    condensed, strict = measured(judged, found_by_souk(known))
    assert (len(judged), condensed >= 0.84, strict >= 0.78) == (59, True, True), (condensed, strict)
