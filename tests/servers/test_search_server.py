"""A whole Souk with OpenSearch: documents follow the shop, and the shop does without the server when it must."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.ground import Ground
from tests.servers.people import offer, sign_up
from tests.servers.searchers import Searcher
from tests.servers.searching import (  # fmt: skip
    LAG_SECONDS,
    found,
    indexed,
    search_of,
    searching_shop,
    status,
    wait_asked,
    wait_equal,
)
from tests.stack.private import wait_for


@pytest.fixture(scope="module")
def shop(searcher: Searcher) -> Iterator[Ground]:
    with searching_shop(searcher.url) as made:
        yield made


@pytest.fixture
def seller(client: httpx.Client, request: pytest.FixtureRequest) -> dict[str, str]:
    return sign_up(client, request.node.name.replace("test_", "")[:30])


def test_what_is_made_changed_sold_out_and_deleted_is_followed(
    client: httpx.Client, shop: Ground, searcher: Searcher, seller: dict[str, str]
) -> None:
    made = offer(client, seller, "Amber ring")
    wait_for(lambda: indexed(searcher, "amber") == ["Amber ring"], what="the product is there")
    client.patch(f"/api/v1/products/{made}", json={"title": "Topaz ring"}, headers=seller)
    wait_for(lambda: indexed(searcher, "topaz") == ["Topaz ring"], what="the new title is there")
    assert found(client, "topaz", available="true") == ["Topaz ring"]
    buyer = sign_up(client, "amber-buyer")
    lines = {"lines": [{"product_id": made, "quantity": 3}]}
    assert client.post("/api/v1/orders", json=lines, headers=buyer).status_code == 201
    # At once, whatever the server has heard: availability is read from the database.
    assert found(client, "topaz", available="true") == []
    assert client.delete(f"/api/v1/products/{made}", headers=seller).status_code == 204
    assert found(client, "topaz") == []
    wait_for(lambda: indexed(searcher, "topaz") == [], what="the product is gone there")
    wait_equal(shop)


def test_an_older_version_never_comes_back(client: httpx.Client, searcher: Searcher, seller: dict[str, str]) -> None:
    made = offer(client, seller, "Beryl ring")
    wait_for(lambda: indexed(searcher, "beryl") == ["Beryl ring"], what="the product is there")
    old = searcher.ask("GET", f"/souk-products/_doc/{made}")
    assert client.delete(f"/api/v1/products/{made}", headers=seller).status_code == 204
    wait_for(lambda: indexed(searcher, "beryl") == [], what="the product is gone there")
    address = f"{searcher.url}/souk-products/_doc/{made}?version={old['_version']}&version_type=external_gte"
    assert httpx.put(address, json=old["_source"]).status_code == 409
    assert indexed(searcher, "beryl") == []


def test_a_server_that_is_killed_is_done_without_and_catches_up(
    client: httpx.Client, shop: Ground, searcher: Searcher, seller: dict[str, str]
) -> None:
    offer(client, seller, "Coral ring")
    searcher.stop()
    made = [offer(client, seller, f"Coral bead {number}") for number in range(5)]
    assert len(found(client, "coral")) == 6
    client.delete(f"/api/v1/products/{made[0]}", headers=seller)
    assert len(found(client, "coral bead")) == 4
    wait_for(lambda: search_of(client)["state"] == "failing", what="the loss is told")
    assert client.get("/health/ready").json()["status"] == "degraded"
    said = shop.stack.souk("doctor").stdout
    assert "PostgreSQL searches meanwhile" in said
    searcher.start()
    wait_asked(client)
    wait_for(lambda: len(indexed(searcher, "coral")) == 5, what="what was missed is there")
    wait_equal(shop)


def test_a_server_that_stands_still_is_left_alone(
    client: httpx.Client, searcher: Searcher, seller: dict[str, str]
) -> None:
    offer(client, seller, "Flint ring")
    searcher.freeze()
    try:
        for _ in range(12):
            assert found(client, "flint") == ["Flint ring"]
        wait_for(lambda: search_of(client)["state"] == "failing", what="the loss is told")
    finally:
        searcher.thaw()
    wait_asked(client)


def test_an_index_that_takes_no_writes_is_not_asked_once_it_is_late(
    client: httpx.Client, shop: Ground, searcher: Searcher, seller: dict[str, str]
) -> None:
    block = {"index.blocks.read_only_allow_delete": True}
    searcher.ask("PUT", "/souk-products/_settings", block)
    try:
        offer(client, seller, "Garnet ring")
        wait_for(lambda: search_of(client)["state"] == "failing", what="it is too late")
        assert search_of(client)["age_seconds"] > LAG_SECONDS
        assert found(client, "garnet") == ["Garnet ring"]
        assert "takes no writes (index.blocks.read_only_allow_delete)" in shop.stack.souk("doctor").stdout
    finally:
        searcher.ask("PUT", "/souk-products/_settings", {"index.blocks.read_only_allow_delete": None})
    wait_asked(client)
    assert indexed(searcher, "garnet") == ["Garnet ring"]


def test_a_new_index_takes_over_while_the_shop_writes(
    client: httpx.Client, shop: Ground, searcher: Searcher, seller: dict[str, str]
) -> None:
    for number in range(30):
        offer(client, seller, f"Jade bead {number}")
    wait_for(lambda: len(found(client, "jade bead", limit="30")) == 30, what="all of them are found")
    stop, missing = threading.Event(), list[int]()

    def sell() -> None:
        number = 30
        with httpx.Client(base_url=shop.url, timeout=60) as own:
            while not stop.is_set():
                offer(own, seller, f"Jade bead {number}")
                number += 1
                if len(found(own, "jade bead", limit="30")) < 30:
                    missing.append(number)

    thread = threading.Thread(target=sell)
    thread.start()
    before = set(searcher.ask("GET", "/_alias/souk-products"))
    try:
        done = shop.stack.souk("search", "reindex")
    finally:
        stop.set()
        thread.join()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "merged in" in done.stderr
    assert missing == []
    after = set(searcher.ask("GET", "/_alias/souk-products"))
    assert len(after) == 1
    assert not before & after
    wait_equal(shop)


def test_what_was_changed_behind_the_back_of_souk_is_found_and_repaired(
    client: httpx.Client, shop: Ground, searcher: Searcher, seller: dict[str, str]
) -> None:
    lost, changed = offer(client, seller, "Onyx ring"), offer(client, seller, "Onyx bead")
    wait_for(lambda: len(indexed(searcher, "onyx")) == 2, what="both are there")
    wait_equal(shop)
    searcher.ask("DELETE", f"/souk-products/_doc/{lost}")
    searcher.ask("POST", f"/souk-products/_update/{changed}", {"doc": {"checksum": 1}})
    code, said = status(shop)
    assert (code, "2 products differ" in said, lost in said, changed in said) == (1, True, True, True)
    assert status(shop, "--repair")[0] == 0
    wait_equal(shop)


def test_an_index_of_another_mapping_and_a_wrong_address_are_named(
    client: httpx.Client, shop: Ground, searcher: Searcher
) -> None:
    mapping = searcher.ask("GET", "/souk-products/_mapping")
    (index,) = mapping
    searcher.ask("PUT", f"/{index}/_mapping", {"_meta": {"souk": "another"}})
    wait_for(lambda: search_of(client)["state"] == "failing", what="the mapping is told")
    assert "of another mapping: run `souk search reindex`" in status(shop)[1]
    assert client.get("/api/v1/products").status_code == 200
    assert shop.stack.souk("search", "reindex").returncode == 0
    wait_for(lambda: search_of(client)["state"] == "ok", what="the new index is asked")
    for wrong in ("http://127.0.0.1:1", searcher.url.replace("http", "https"), f"{searcher.url}/nowhere"):
        before = shop.stack.extra
        shop.stack.extra = {**before, "SOUK_SEARCH_URL": wrong}
        said = shop.stack.souk("doctor")
        shop.stack.extra = before
        assert said.returncode == 1
        assert "See SOUK_SEARCH_URL" in said.stdout, said.stdout
