"""A search server that is busy, red, or does not know us: the shop goes on, says why, and catches up."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.faults.ground import Ground
from tests.servers.gateways import PASSWORD, Gateway, gateway_before
from tests.servers.people import offer, sign_up
from tests.servers.searchers import Searcher
from tests.servers.searching import (  # fmt: skip
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
def gateway(searcher: Searcher) -> Iterator[Gateway]:
    with gateway_before(searcher.url) as made:
        yield made


@pytest.fixture(scope="module")
def shop(gateway: Gateway) -> Iterator[Ground]:
    with searching_shop(gateway.url) as made:
        yield made


@pytest.fixture
def seller(client: httpx.Client, request: pytest.FixtureRequest) -> dict[str, str]:
    return sign_up(client, request.node.name.replace("test_", "")[:30])


def test_a_server_that_has_no_time_is_done_without_and_written_later(
    client: httpx.Client, shop: Ground, searcher: Searcher, gateway: Gateway, seller: dict[str, str]
) -> None:
    gateway.all_busy = True
    try:
        offer(client, seller, "Amber ring")
        wait_for(lambda: search_of(client)["state"] == "failing", what="it is told")
        assert found(client, "amber") == ["Amber ring"]
        assert "it answers 429" in status(shop)[1]
        assert client.get("/health/ready").json()["status"] == "degraded"
    finally:
        gateway.all_busy = False
    assert gateway.turned_away > 0
    wait_asked(client)
    wait_for(lambda: indexed(searcher, "amber") == ["Amber ring"], what="what was turned away is there")
    wait_equal(shop)


def test_documents_turned_away_out_of_a_whole_bulk_come_again(
    client: httpx.Client, shop: Ground, searcher: Searcher, gateway: Gateway, seller: dict[str, str]
) -> None:
    before = gateway.turned_away
    gateway.half_busy = True
    try:
        for number in range(6):
            offer(client, seller, f"Basalt bead {number}")
        wait_for(lambda: gateway.turned_away >= before + 6, what="each was turned away")
    finally:
        gateway.half_busy = False
    wait_for(lambda: len(indexed(searcher, "basalt")) == 6, what="all of them are there")
    wait_equal(shop)


def test_an_index_that_cannot_be_merged_serves_all_the_same(
    client: httpx.Client, shop: Ground, gateway: Gateway
) -> None:
    gateway.merges_refused = True
    try:
        done = shop.stack.souk("search", "reindex")
    finally:
        gateway.merges_refused = False
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it could not be merged, and is slower than it might be: it answers 403" in done.stderr
    wait_asked(client)
    wait_equal(shop)


def test_a_wrong_password_is_named_and_not_shown(client: httpx.Client, shop: Ground, gateway: Gateway) -> None:
    assert gateway.without_password == 0
    before = shop.stack.extra
    shop.stack.extra = {**before, "SOUK_SEARCH_URL": gateway.url.replace(PASSWORD, "not-the-password")}
    try:
        doctor, said = shop.stack.souk("doctor"), status(shop)
    finally:
        shop.stack.extra = before
    assert gateway.without_password > 0
    for code, text in ((doctor.returncode, doctor.stdout + doctor.stderr), said):
        assert code == 1
        assert "it answers 401" in text
        assert "not-the-password" not in text
    assert "See SOUK_SEARCH_URL" in doctor.stdout
    assert client.get("/api/v1/products").status_code == 200


def test_an_index_that_lost_a_part_is_not_asked_and_named(
    client: httpx.Client, shop: Ground, searcher: Searcher, seller: dict[str, str]
) -> None:
    offer(client, seller, "Copper ring")
    wait_for(lambda: indexed(searcher, "copper") == ["Copper ring"], what="it is there")
    searcher.lose_shards("souk-products")
    wait_for(lambda: "is red: a part of it is lost" in status(shop)[1], what="it is told", seconds=60)
    assert search_of(client)["state"] == "failing"
    assert found(client, "copper") == ["Copper ring"]
    offer(client, seller, "Copper bead")
    done = shop.stack.souk("search", "reindex")
    assert done.returncode == 0, done.stdout + done.stderr
    wait_asked(client)
    wait_for(lambda: len(indexed(searcher, "copper")) == 2, what="what was sold before and meanwhile is there")
    wait_equal(shop)
