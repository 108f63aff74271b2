"""A bag: filled, changed, shown as things are now, ordered or given up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connections

from souk.bags import operations
from souk.bags.models import Bag
from souk.bags.operations import abandon_untouched_bags
from souk.eventlog.operations import begin_life
from tests.books import checksums, rows_of, run, stock_of
from tests.callers import Answer, Api, SignedIn
from tests.rivals import in_background


def put(who: SignedIn, product: dict[str, Any], quantity: Any, **headers: str) -> Answer:
    return who.put(f"/bag/lines/{product['id']}", {"quantity": quantity}, headers=headers)


def lines_of(answer: Answer) -> list[tuple[str, int, int, list[str]]]:
    return [
        (one["product"]["title"], one["quantity"], one["line_total"]["amount"], one["problems"])
        for one in answer.body["lines"]
    ]


def history_of(bag_id: str) -> list[tuple[str | None, str, str, str]]:
    return [
        (source, target, event, actor.partition(":")[0])
        for source, target, event, actor in rows_of(
            "SELECT source, target, event, actor FROM eventlog_transition WHERE subject_id = %s ORDER BY sequence",
            bag_id,
        )
    ]


def test_the_first_look_makes_an_empty_bag_and_the_next_one_finds_it(buyer: SignedIn) -> None:
    bag = buyer.get("/bag")
    assert bag.status == 200
    moments = {bag.body.pop("created"), bag.body.pop("updated")}
    assert len(moments) == 1
    assert bag.body == {
        "id": bag.body["id"],
        "state": "OPEN",
        "lines": [],
        "totals": [],
        "allowed_actions": [],
    }
    assert buyer.get("/bag").body["id"] == bag.body["id"]
    assert history_of(bag.body["id"]) == [(None, "OPEN", "open", "user")]


def test_a_line_is_set_changed_and_shown_with_the_product_as_it_is_now(seller: SignedIn, buyer: SignedIn) -> None:
    mug, lamp = seller.offer("Mug", stock=5, price=700), seller.offer("Lamp", stock=2, price=1500)
    assert put(buyer, mug, 1).status == 200
    assert put(buyer, lamp, 2).status == 200
    bag = put(buyer, mug, 3)
    assert bag.body["lines"][0] == {
        "product": {
            "id": mug["id"],
            "title": "Mug",
            "price": {"amount": 700, "currency": "EUR"},
            "available": 5,
            "state": "ACTIVE",
        },
        "quantity": 3,
        "line_total": {"amount": 2100, "currency": "EUR"},
        "problems": [],
    }
    assert lines_of(bag) == [("Mug", 3, 2100, []), ("Lamp", 2, 3000, [])]
    assert bag.body["totals"] == [{"amount": 5100, "currency": "EUR"}]
    assert bag.body["allowed_actions"] == ["order"]
    assert buyer.get("/bag").body == bag.body
    assert stock_of(mug) == (5, 0)


def test_a_bag_may_hold_two_currencies_and_has_a_sum_for_each(seller: SignedIn, buyer: SignedIn) -> None:
    put(buyer, seller.offer("Mug", price=700), 1)
    put(buyer, seller.offer("Cup", price=300), 1)
    dollars = seller.post("/products", {"title": "Pot", "price": {"amount": 50, "currency": "USD"}, "stock": 1}).body
    bag = put(buyer, dollars, 1)
    assert bag.body["totals"] == [{"amount": 1000, "currency": "EUR"}, {"amount": 50, "currency": "USD"}]
    before = checksums()
    refused = buyer.post("/bag/order")
    assert (refused.status, refused.code, refused.pointers) == (409, "currency_mismatch", ["/lines/2"])
    assert checksums() == before


def test_what_has_changed_since_a_line_was_set_is_said_at_the_line(seller: SignedIn, buyer: SignedIn) -> None:
    mug, lamp, pot, cup = (seller.offer(title, stock=5, price=700) for title in ("Mug", "Lamp", "Pot", "Cup"))
    for product in (mug, lamp, pot, cup):
        put(buyer, product, 4)
    seller.patch(f"/products/{mug['id']}", {"price": {"amount": 800, "currency": "EUR"}})
    seller.patch(f"/products/{lamp['id']}", {"stock": 3})
    seller.post(f"/products/{pot['id']}/archive")
    seller.delete(f"/products/{cup['id']}")
    bag = buyer.get("/bag")
    assert lines_of(bag) == [
        ("Mug", 4, 3200, ["price_changed"]),
        ("Lamp", 4, 2800, ["out_of_stock"]),
        ("Pot", 4, 2800, ["product_not_for_sale"]),
        ("Cup", 4, 2800, ["product_not_for_sale"]),
    ]
    shown = [(one["product"]["available"], one["product"]["state"]) for one in bag.body["lines"]]
    assert shown == [(5, "ACTIVE"), (3, "ACTIVE"), (0, "ARCHIVED"), (0, "ARCHIVED")]
    assert lines_of(put(buyer, mug, 1))[0] == ("Mug", 1, 800, [])


def test_lines_are_taken_out_one_by_one_or_all_and_again_without_harm(seller: SignedIn, buyer: SignedIn) -> None:
    mug, lamp, pot = (seller.offer(title, price=700) for title in ("Mug", "Lamp", "Pot"))
    for product in (mug, lamp, pot):
        put(buyer, product, 1)
    for _ in range(2):
        gone = buyer.delete(f"/bag/lines/{mug['id']}")
        assert (gone.status, gone.body) == (204, "")
    assert lines_of(buyer.get("/bag")) == [("Lamp", 1, 700, []), ("Pot", 1, 700, [])]
    for _ in range(2):
        assert buyer.delete("/bag/lines").status == 204
    assert buyer.get("/bag").body["lines"] == []
    assert lines_of(put(buyer, mug, 2)) == [("Mug", 2, 1400, [])]
    # Nothing is removed for good: the three lines that were taken out are marked.
    assert rows_of("SELECT count(*), count(deleted) FROM bags_bagline") == [(4, 3)]


def test_ordering_holds_the_stock_and_the_bag_becomes_that_order(seller: SignedIn, buyer: SignedIn) -> None:
    mug, lamp = seller.offer("Mug", stock=5, price=700), seller.offer("Lamp", stock=2, price=1500)
    put(buyer, mug, 2)
    bag = put(buyer, lamp, 1)
    placed = buyer.post("/bag/order")
    assert placed.status == 201
    assert placed.headers["Location"] == f"/api/v1/orders/{placed.body['id']}"
    assert placed.body["total"] == {"amount": 2900, "currency": "EUR"}
    assert [(line["title"], line["quantity"]) for line in placed.body["lines"]] == [("Mug", 2), ("Lamp", 1)]
    assert buyer.get(f"/orders/{placed.body['id']}").body == placed.body
    assert (stock_of(mug), stock_of(lamp)) == ((5, 2), (2, 1))
    assert rows_of("SELECT state, order_id::text FROM bags_bag") == [("ORDERED", placed.body["id"])]
    assert history_of(bag.body["id"]) == [(None, "OPEN", "open", "user"), ("OPEN", "ORDERED", "order", "user")]
    fresh = buyer.get("/bag")
    assert fresh.body["id"] != bag.body["id"]
    assert fresh.body["lines"] == []


def test_a_refused_order_leaves_the_bag_as_it_was(seller: SignedIn, buyer: SignedIn) -> None:
    mug, lamp = seller.offer("Mug", stock=5), seller.offer("Lamp", stock=2)
    put(buyer, mug, 2)
    bag = put(buyer, lamp, 3)
    before = checksums()
    refused = buyer.post("/bag/order")
    assert (refused.status, refused.code, refused.pointers) == (409, "out_of_stock", ["/lines/1"])
    assert (refused.body["errors"][0]["requested"], refused.body["errors"][0]["available"]) == (3, 2)
    assert checksums() == before
    assert buyer.get("/bag").body == bag.body


def test_an_empty_bag_and_one_of_own_products_are_not_ordered(seller: SignedIn) -> None:
    empty = seller.post("/bag/order")
    assert (empty.status, empty.code) == (409, "bag_empty")
    put(seller, seller.offer("Mug"), 1)
    own = seller.post("/bag/order")
    assert (own.status, own.code, own.pointers) == (409, "own_product", ["/lines/0"])
    assert lines_of(seller.get("/bag")) == [("Mug", 1, 1999, [])]


def test_a_tag_holds_the_buyer_to_the_prices_that_were_shown(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", stock=5, price=700)
    shown = put(buyer, mug, 2)
    seller.patch(f"/products/{mug['id']}", {"price": {"amount": 701, "currency": "EUR"}})
    refused = buyer.post("/bag/order", headers={"If-Match": f'"{shown.etag}"'})
    assert (refused.status, refused.code) == (412, "version_mismatch")
    assert rows_of("SELECT count(*) FROM orders_order") == [(0,)]
    again = buyer.get("/bag")
    assert again.etag != shown.etag
    placed = buyer.post("/bag/order", headers={"If-Match": f'"{again.etag}"'})
    assert (placed.status, placed.body["total"]["amount"]) == (201, 1402)


def test_without_a_tag_the_price_of_the_moment_holds(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", stock=5, price=700)
    put(buyer, mug, 2)
    seller.patch(f"/products/{mug['id']}", {"price": {"amount": 701, "currency": "EUR"}})
    assert buyer.post("/bag/order").body["total"] == {"amount": 1402, "currency": "EUR"}


def test_somebody_elses_purchase_spoils_no_tag_but_is_seen(
    seller: SignedIn, buyer: SignedIn, stranger: SignedIn
) -> None:
    mug = seller.offer("Mug", stock=5)
    shown = put(buyer, mug, 2)
    assert buyer.get("/bag", headers={"If-None-Match": f'"{shown.etag}"'}).status == 304
    assert stranger.order((mug, 1)).status == 201
    seen = buyer.get("/bag", headers={"If-None-Match": f'"{shown.etag}"'})
    assert (seen.status, seen.body["lines"][0]["product"]["available"]) == (200, 4)
    assert put(buyer, mug, 1, **{"If-Match": f'"{shown.etag}"'}).status == 200
    stale = put(buyer, mug, 3, **{"If-Match": f'"{shown.etag}"'})
    assert (stale.status, stale.code) == (412, "version_mismatch")
    for path in ("/bag/lines", f"/bag/lines/{mug['id']}"):
        assert buyer.delete(path, headers={"If-Match": f'"{shown.etag}"'}).code == "version_mismatch"
    assert lines_of(buyer.get("/bag")) == [("Mug", 1, 1999, [])]


def test_a_repeated_order_with_one_key_is_one_order(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", stock=5)
    put(buyer, mug, 2)
    first, second = (buyer.post("/bag/order", headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status, second.status, first.body) == (201, 201, second.body)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert stock_of(mug) == (5, 2)


@pytest.mark.parametrize("quantity", [0, -1, 1.5, 10**18, "1", None, True, 1001])
def test_odd_quantities_are_refused_at_their_place(seller: SignedIn, buyer: SignedIn, quantity: Any) -> None:
    mug = seller.offer("Mug")
    put(buyer, mug, 1)
    before = checksums()
    refused = put(buyer, mug, quantity)
    assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", ["/quantity"])
    assert checksums() == before


def test_what_the_buyer_cannot_see_is_not_found(seller: SignedIn, buyer: SignedIn) -> None:
    draft = seller.offer("Draft", state="DRAFT")
    gone = seller.offer("Gone")
    seller.delete(f"/products/{gone['id']}")
    for product in (draft, gone, {"id": "0190d5a4-0000-7000-8000-000000000000"}):
        refused = put(buyer, product, 1)
        assert (refused.status, refused.code) == (404, "not_found")
    assert buyer.put("/bag/lines/mug", {"quantity": 1}).code == "not_found"
    assert put(seller, draft, 1).body["lines"][0]["problems"] == ["product_not_for_sale"]


def test_a_bag_has_room_for_a_hundred_products(seller: SignedIn, buyer: SignedIn) -> None:
    products = [seller.offer(f"Mug {number}", price=100) for number in range(101)]
    for product in products[:100]:
        assert put(buyer, product, 1).status == 200
    refused = put(buyer, products[100], 1)
    assert (refused.status, refused.code) == (400, "validation_failed")
    stale = {"If-Match": '"of no bag"'}
    refused = buyer.put(f"/bag/lines/{products[100]['id']}", {"quantity": 1}, headers=stale)
    assert (refused.status, refused.code) == (400, "validation_failed")
    assert len(put(buyer, products[0], 2).body["lines"]) == 100
    buyer.delete(f"/bag/lines/{products[1]['id']}")
    assert len(put(buyer, products[100], 1).body["lines"]) == 100


def test_nobody_sees_another_ones_bag_and_a_stranger_has_none(
    seller: SignedIn, buyer: SignedIn, stranger: SignedIn
) -> None:
    put(buyer, seller.offer("Mug"), 1)
    assert stranger.get("/bag").body["lines"] == []
    anonymous = Api()
    for answer in (anonymous.get("/bag"), anonymous.post("/bag/order"), anonymous.delete("/bag/lines")):
        assert (answer.status, answer.code) == (401, "not_authenticated")


def test_changes_at_the_same_time_lose_nothing(seller: SignedIn, buyer: SignedIn) -> None:
    products = [seller.offer(f"Mug {number}", price=100) for number in range(12)]

    def change(product: dict[str, Any]) -> int:
        try:
            mine = SignedIn(buyer.username, buyer.id, str(buyer.token), "")
            return put(mine, product, 3).status
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as hands:
        assert list(hands.map(change, products * 2)) == [200] * 24
    bag = buyer.get("/bag")
    assert sorted(line["product"]["id"] for line in bag.body["lines"]) == sorted(one["id"] for one in products)
    assert bag.body["totals"] == [{"amount": 3600, "currency": "EUR"}]
    # The bag was made once, by whoever came first, and counted every change.
    assert rows_of("SELECT count(*), max(version) FROM bags_bag") == [(1, 25)]


@pytest.mark.parametrize("look", ["change", "read"])
def test_a_rivals_bag_that_is_made_and_ordered_meanwhile_is_no_defect(
    seller: SignedIn, buyer: SignedIn, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    mug, jug = seller.offer("Mug"), seller.offer("Jug")
    rival = SignedIn(buyer.username, buyer.id, str(buyer.token), "")
    placed: list[int] = []

    def open_after_the_rival(bag: Bag, *given: Any, **named: Any) -> None:
        monkeypatch.undo()
        with in_background(lambda: put(rival, mug, 1)) as filled:
            assert filled.result(30).status == 200
        try:
            begin_life(bag, *given, **named)
        except IntegrityError:
            with in_background(lambda: rival.post("/bag/order")) as ordered:
                placed.append(ordered.result(30).status)
            raise

    monkeypatch.setattr(operations, "begin_life", open_after_the_rival)
    answer = put(buyer, jug, 2) if look == "change" else buyer.get("/bag")
    assert (answer.status, placed) == (200, [201])
    assert [line["product"]["title"] for line in answer.body["lines"]] == (["Jug"] if look == "change" else [])
    assert rows_of("SELECT state, count(*) FROM bags_bag GROUP BY 1 ORDER BY 1") == [("OPEN", 1), ("ORDERED", 1)]


def test_a_bag_that_nobody_touched_for_ninety_days_is_given_up(seller: SignedIn, buyer: SignedIn) -> None:
    bag = put(buyer, seller.offer("Mug"), 1)
    run("UPDATE bags_bag SET updated = clock_timestamp() - interval '90 days' + interval '1 minute'")
    assert abandon_untouched_bags() == 0
    run("UPDATE bags_bag SET updated = clock_timestamp() - interval '90 days' - interval '1 second'")
    assert abandon_untouched_bags() == 1
    assert abandon_untouched_bags() == 0
    assert history_of(bag.body["id"]) == [(None, "OPEN", "open", "user"), ("OPEN", "ABANDONED", "abandon", "system")]
    fresh = buyer.get("/bag")
    assert (fresh.body["lines"], fresh.body["id"] != bag.body["id"]) == ([], True)
