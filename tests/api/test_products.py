"""A seller's products: made, changed, listed, shown, moved through their states, deleted."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from souk.catalog.models import Tag
from tests.books import checksums, events_of, movements_of, rows_of, stock_of
from tests.callers import Api, SignedIn

PICTURE = {"url": "https://example.org/bowl.jpg", "alt": "A bowl"}


def test_a_new_product_is_on_sale_at_once_and_shown_whole_to_its_seller(seller: SignedIn) -> None:
    made = seller.post(
        "/products",
        {
            "title": "Walnut bowl",
            "description": "Turned by hand.",
            "price": {"amount": 1999, "currency": "EUR"},
            "stock": 7,
            "images": [PICTURE],
        },
    )
    assert made.status == 201
    product_id = made.body["id"]
    assert made.headers["Location"] == f"/api/v1/products/{product_id}"
    assert made.etag == "1.1"
    moments = {name: made.body.pop(name) for name in ("created", "updated", "published")}
    assert all(moment.endswith("Z") for moment in moments.values())
    assert made.body == {
        "id": product_id,
        "seller": {"id": seller.id, "username": "seller", "display_name": ""},
        "title": "Walnut bowl",
        "description": "Turned by hand.",
        "price": {"amount": 1999, "currency": "EUR"},
        "available": 7,
        "state": "ACTIVE",
        "tags": [],
        "images": [PICTURE],
        "allowed_actions": ["edit", "archive", "delete"],
        "stock": {"on_hand": 7, "reserved": 0},
    }
    assert movements_of(made.body) == [("received", 7, 0)]
    assert events_of(product_id) == ["product.created"]


def test_everybody_sees_a_product_but_its_counters_and_actions(seller: SignedIn, buyer: SignedIn) -> None:
    bowl = seller.offer(stock=3)
    for caller in (Api(), buyer):
        seen = caller.get(f"/products/{bowl['id']}")
        assert seen.status == 200
        assert seen.body == {**{name: bowl[name] for name in bowl if name != "stock"}, "allowed_actions": []}
        assert seen.etag == "1.1"


def test_the_smallest_and_the_largest_product_are_taken(seller: SignedIn) -> None:
    Tag.all_objects.bulk_create([Tag(name=f"t{number}") for number in range(20)])
    least = seller.post("/products", {"title": "x", "price": {"amount": 0, "currency": "JPY"}, "stock": 0})
    assert (least.status, least.body["available"], least.body["description"]) == (201, 0, "")
    assert movements_of(least.body) == []
    most = seller.post(
        "/products",
        {
            "title": "ü" * 200,
            "description": "🏺" * 10_000,
            "price": {"amount": 10**12, "currency": "USD"},
            "stock": 1_000_000,
            "tags": [f"t{number}" for number in range(20)],
            "images": [{"url": "https://example.org/" + "x" * 1980, "alt": "y" * 300}] * 10,
        },
    )
    assert most.status == 201
    assert most.body["price"] == {"amount": 10**12, "currency": "USD"}
    assert len(most.body["tags"]) == 20


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"title": ""}, ["/title"]),
        ({"title": " \t\n"}, ["/title"]),
        ({"title": "x" * 201}, ["/title"]),
        ({"title": 5}, ["/title"]),
        ({"title": None}, ["/title"]),
        ({"description": "x" * 10_001}, ["/description"]),
        ({"price": 1999}, ["/price"]),
        ({"price": {"amount": -1, "currency": "EUR"}}, ["/price/amount"]),
        ({"price": {"amount": 10**12 + 1, "currency": "EUR"}}, ["/price/amount"]),
        ({"price": {"amount": 1, "currency": "QQQ"}}, ["/price"]),
        ({"stock": -1}, ["/stock"]),
        ({"stock": 1_000_001}, ["/stock"]),
        ({"stock": 1.5}, ["/stock"]),
        ({"stock": "1"}, ["/stock"]),
        ({"tags": "walnut"}, ["/tags"]),
        ({"tags": ["Walnut"]}, ["/tags/0"]),
        ({"tags": ["a--b"]}, ["/tags/0"]),
        ({"tags": ["walnut", "unheard-of"]}, ["/tags/1"]),
        ({"tags": ["walnut"] * 21}, ["/tags"]),
        ({"images": [{"url": "http://example.org/a.jpg"}]}, ["/images/0"]),
        ({"images": [{"url": "javascript:alert(1)"}]}, ["/images/0"]),
        ({"images": [{"url": "https://"}]}, ["/images/0"]),
        ({"images": [{"url": "https://[::1"}]}, ["/images/0"]),
        ({"images": [{"url": "https://example.org/a b"}]}, ["/images/0"]),
        ({"images": [PICTURE] * 11}, ["/images"]),
        ({"state": "ARCHIVED"}, ["/state"]),
        ({"id": str(uuid4())}, ["/id"]),
        ({"seller": "me"}, ["/seller"]),
    ],
)
def test_a_product_that_is_not_acceptable_is_refused_and_nothing_is_kept(
    seller: SignedIn, change: dict[str, Any], pointers: list[str]
) -> None:
    Tag.all_objects.create(name="walnut")
    before = checksums()
    good = {"title": "Bowl", "price": {"amount": 1, "currency": "EUR"}, "stock": 1}
    made = seller.post("/products", {**good, **change})
    assert (made.status, made.code, made.pointers) == (400, "validation_failed", pointers)
    assert checksums() == before


def test_a_change_writes_what_was_sent_and_nothing_else(seller: SignedIn) -> None:
    Tag.all_objects.bulk_create([Tag(name=name) for name in ("oak", "walnut", "new")])
    bowl = seller.offer(stock=5, description="Old words", tags=["walnut", "oak"])
    changed = seller.patch(f"/products/{bowl['id']}", {"title": "Oak bowl", "tags": ["oak", "new", "oak"]})
    assert changed.status == 200
    assert changed.etag == "2.1"
    assert changed.body == {
        **bowl,
        "title": "Oak bowl",
        "tags": ["new", "oak"],
        "updated": changed.body["updated"],
    }
    assert changed.body["updated"] > bowl["updated"]
    assert seller.patch(f"/products/{bowl['id']}", {"tags": [], "images": [PICTURE]}).body["tags"] == []
    assert seller.patch(f"/products/{bowl['id']}", {"price": {"amount": 5, "currency": "EUR"}}).etag == "4.1"
    assert events_of(bowl["id"]) == ["product.created", *["product.changed"] * 3]
    assert movements_of(bowl) == [("received", 5, 0)]


def test_an_empty_change_changes_nothing(seller: SignedIn) -> None:
    bowl = seller.offer()
    before = checksums()
    assert seller.patch(f"/products/{bowl['id']}", {}).body == bowl
    assert checksums() == before


def test_counted_stock_is_set_and_tells_when_it_crosses_zero(seller: SignedIn) -> None:
    bowl = seller.offer(stock=5)
    for count, etag in ((3, "1.2"), (0, "1.3"), (9, "1.4")):
        counted = seller.patch(f"/products/{bowl['id']}", {"stock": count})
        assert (counted.status, counted.body["available"], counted.etag) == (200, count, etag)
    assert stock_of(bowl) == (9, 0)
    assert movements_of(bowl) == [
        ("received", 5, 0),
        ("correction", -2, 0),
        ("correction", -3, 0),
        ("correction", 9, 0),
    ]
    assert events_of(bowl["id"]) == ["product.created", "product.sold_out", "product.back_in_stock"]


def test_stock_is_never_counted_below_what_is_held(seller: SignedIn, buyer: SignedIn) -> None:
    bowl = seller.offer(stock=5)
    assert buyer.order((bowl, 3)).status == 201
    before = checksums()
    refused = seller.patch(f"/products/{bowl['id']}", {"title": "Other", "stock": 2})
    assert (refused.status, refused.code, refused.pointers) == (409, "stock_below_reserved", ["/stock"])
    assert checksums() == before
    assert seller.patch(f"/products/{bowl['id']}", {"stock": 3}).body["stock"] == {"on_hand": 3, "reserved": 3}


def test_a_draft_is_its_sellers_alone_until_it_is_activated(seller: SignedIn, buyer: SignedIn) -> None:
    bowl = seller.offer(state="DRAFT")
    assert (bowl["state"], bowl["published"], bowl["allowed_actions"]) == (
        "DRAFT",
        None,
        ["edit", "activate", "delete"],
    )
    assert buyer.get(f"/products/{bowl['id']}").code == "not_found"
    assert Api().get("/products").body["results"] == []
    active = seller.post(f"/products/{bowl['id']}/activate")
    assert (active.status, active.body["state"], active.etag) == (200, "ACTIVE", "2.1")
    assert active.body["published"] is not None
    assert [row["id"] for row in Api().get("/products").body["results"]] == [bowl["id"]]
    assert events_of(bowl["id"]) == ["product.created", "product.changed"]


def test_a_product_goes_between_shelf_and_archive_and_stays_as_new_as_it_was(seller: SignedIn) -> None:
    bowl = seller.offer()
    archived = seller.post(f"/products/{bowl['id']}/archive")
    assert (archived.status, archived.body["state"]) == (200, "ARCHIVED")
    assert archived.body["allowed_actions"] == ["edit", "activate", "delete"]
    assert Api().get(f"/products/{bowl['id']}").code == "not_found"
    again = seller.post(f"/products/{bowl['id']}/activate")
    assert (again.body["state"], again.body["published"]) == ("ACTIVE", bowl["published"])
    history = rows_of(
        "SELECT source, target, event, actor FROM eventlog_transition WHERE subject_id = %s ORDER BY sequence",
        bowl["id"],
    )
    assert history == [
        (None, "ACTIVE", "create", f"user:{seller.id}"),
        ("ACTIVE", "ARCHIVED", "archive", f"user:{seller.id}"),
        ("ARCHIVED", "ACTIVE", "activate", f"user:{seller.id}"),
    ]


@pytest.mark.parametrize(
    ("state", "event"),
    [("ACTIVE", "activate"), ("DRAFT", "archive"), ("ARCHIVED", "archive")],
)
def test_a_state_that_does_not_allow_it_refuses(seller: SignedIn, state: str, event: str) -> None:
    bowl = seller.offer(state="DRAFT" if state == "DRAFT" else "ACTIVE")
    if state == "ARCHIVED":
        assert seller.post(f"/products/{bowl['id']}/archive").status == 200
    before = checksums()
    refused = seller.post(f"/products/{bowl['id']}/{event}")
    assert (refused.status, refused.code) == (409, "illegal_transition")
    assert checksums() == before


def test_a_deleted_product_is_gone_for_everybody_and_its_row_stays(seller: SignedIn, buyer: SignedIn) -> None:
    bowl = seller.offer()
    gone = seller.delete(f"/products/{bowl['id']}")
    assert (gone.status, gone.body) == (204, "")
    address = f"/products/{bowl['id']}"
    for caller in (seller, buyer, Api()):
        assert caller.get(address).code == "not_found"
    assert seller.delete(address).code == "not_found"
    assert seller.patch(address, {"title": "x"}).code == "not_found"
    assert seller.post(f"{address}/activate").code == "not_found"
    assert Api().get("/products").body["results"] == seller.get("/me/products").body["results"] == []
    assert rows_of("SELECT state, deleted IS NOT NULL FROM catalog_product") == [("ACTIVE", True)]
    assert events_of(bowl["id"]) == ["product.created", "product.deleted"]


def test_somebody_elses_product_is_seen_but_not_theirs_to_change(seller: SignedIn, stranger: SignedIn) -> None:
    shown, draft = seller.offer(), seller.offer(state="DRAFT")
    before = checksums()
    for product, expected in ((shown, (403, "forbidden")), (draft, (404, "not_found"))):
        address = f"/products/{product['id']}"
        for answer in (
            stranger.patch(address, {"title": "Mine now"}),
            stranger.delete(address),
            stranger.post(f"{address}/archive"),
            stranger.post(f"{address}/activate"),
        ):
            assert (answer.status, answer.code) == expected
    assert checksums() == before


def test_own_products_are_listed_in_all_states_newest_made_first(seller: SignedIn, stranger: SignedIn) -> None:
    stranger.offer("Not mine")
    made = [seller.offer("First"), seller.offer("Second", state="DRAFT"), seller.offer("Third")]
    seller.post(f"/products/{made[0]['id']}/archive")
    listed = seller.get("/me/products").body
    assert [(row["title"], row["state"]) for row in listed["results"]] == [
        ("Third", "ACTIVE"),
        ("Second", "DRAFT"),
        ("First", "ARCHIVED"),
    ]
    assert listed["next"] is None
    assert [row["title"] for row in seller.get("/me/products", state="DRAFT").body["results"]] == ["Second"]
    assert seller.get("/me/products", state="SOLD").pointers == ["state"]
