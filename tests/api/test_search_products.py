"""Finding products through HTTP: words, filters, order, spelling, and who is never found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from souk.accounts.operations.leaving import lock_user, unlock_user
from souk.catalog.operations.tagging import create_tag, fold_tag_uses
from tests.callers import Api, SignedIn


def titles(api: Api, **query: Any) -> list[str]:
    """Every title that is found, page after page."""
    found: list[str] = []
    while True:
        answer = api.get("/products", **query)
        assert answer.status == 200, answer.body
        found += [product["title"] for product in answer.body["results"]]
        if answer.body["next"] is None:
            return found
        query["cursor"] = answer.body["next"]


@pytest.fixture
def shop(seller: SignedIn, other_seller: SignedIn) -> dict[str, dict[str, Any]]:
    for name in ("kitchen", "wood", "light"):
        create_tag(name=name)
    made = [
        seller.offer("Walnut bowl", price=2000, tags=["kitchen", "wood"], description="Turned by hand, for fruit."),
        seller.offer("Oak bowls, set of two", price=3500, stock=0, tags=["wood"], description="For soup and salad."),
        other_seller.offer("Café lamp", price=9900, tags=["light"], description="A brass lamp with a walnut foot."),
        other_seller.offer("The Who on vinyl", price=1500, description="A record."),
    ]
    return {product["title"].split()[0]: product for product in made}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["The Who on vinyl", "Café lamp", "Oak bowls, set of two", "Walnut bowl"]),
        ({"q": "bowl"}, ["Oak bowls, set of two", "Walnut bowl"]),
        ({"q": "walnut"}, ["Café lamp", "Walnut bowl"]),
        ({"q": "walnut bowl"}, ["Walnut bowl"]),
        ({"q": "walnut -bowl"}, ["Café lamp"]),
        ({"q": "-walnut"}, ["The Who on vinyl", "Oak bowls, set of two"]),
        ({"q": "oak or lamp"}, ["Café lamp", "Oak bowls, set of two"]),
        ({"q": '"walnut foot"'}, ["Café lamp"]),
        ({"q": '"bowl turned"'}, []),
        ({"q": '"bowl kitchen"'}, []),
        ({"q": '"walnut foot'}, ["Café lamp"]),
        ({"q": "cafe"}, ["Café lamp"]),
        ({"q": "CAFÉ"}, ["Café lamp"]),
        ({"q": "kitchen"}, ["Walnut bowl"]),
        ({"q": "the who"}, ["The Who on vinyl"]),
        ({"q": "the lamp of walnut"}, ["Café lamp"]),
        ({"q": "  "}, ["The Who on vinyl", "Café lamp", "Oak bowls, set of two", "Walnut bowl"]),
        ({"q": "!!! ... &&&"}, []),
        ({"q": "🥣"}, []),
        ({"q": "שלום"}, []),
        ({"tag": "wood"}, ["Oak bowls, set of two", "Walnut bowl"]),
        ({"tag": ["wood", "kitchen", "wood"]}, ["Walnut bowl"]),
        ({"tag": ["wood", "unknown"]}, []),
        ({"tag": "No Tag"}, []),
        ({"available": "true"}, ["The Who on vinyl", "Café lamp", "Walnut bowl"]),
        ({"available": "true", "tag": "wood", "q": "bowl"}, ["Walnut bowl"]),
        ({"min_price": 2000, "currency": "EUR"}, ["Café lamp", "Oak bowls, set of two", "Walnut bowl"]),
        ({"max_price": 2000, "currency": "EUR"}, ["The Who on vinyl", "Walnut bowl"]),
        ({"min_price": 1501, "max_price": 9899, "currency": "EUR"}, ["Oak bowls, set of two", "Walnut bowl"]),
        ({"min_price": 3000, "max_price": 2000, "currency": "EUR"}, []),
        ({"min_price": 1, "currency": "USD"}, []),
        ({"currency": "EUR", "q": "lamp"}, ["Café lamp"]),
        ({"q": "bowl", "max_price": 2500, "currency": "EUR", "available": "true", "tag": "kitchen"}, ["Walnut bowl"]),
    ],
)
def test_what_is_asked_for_is_found_newest_first(
    shop: dict[str, Any], anonymous: Api, query: dict[str, Any], expected: list[str]
) -> None:
    assert titles(anonymous, **query) == expected
    assert titles(anonymous, **query, limit=1) == expected


def test_sellers_and_ids_narrow_a_search(shop: dict[str, Any], seller: SignedIn, other_seller: SignedIn) -> None:
    api = Api()
    assert titles(api, seller=other_seller.id) == ["The Who on vinyl", "Café lamp"]
    assert titles(api, seller=other_seller.id, q="walnut") == ["Café lamp"]
    assert titles(api, seller=api_unknown()) == []
    ids = [shop["Walnut"]["id"], shop["Café"]["id"], api_unknown()]
    assert titles(api, id=ids) == titles(api, id=ids, limit=1) == ["Café lamp", "Walnut bowl"]
    assert titles(api, id=ids, q="bowl") == titles(api, id=ids, tag="wood") == ["Walnut bowl"]
    assert titles(api, id=ids, min_price=2001, currency="EUR") == ["Café lamp"]


def api_unknown() -> str:
    return "01890000-0000-7000-8000-000000000000"


def test_the_store_of_a_user_shows_their_products(shop: dict[str, Any], seller: SignedIn, anonymous: Api) -> None:
    seller.offer("Hidden", state="DRAFT")
    address = f"/users/{seller.id}/products"
    assert [one["title"] for one in anonymous.get(address).body["results"]] == ["Oak bowls, set of two", "Walnut bowl"]
    assert "stock" in seller.get(address).body["results"][0]
    assert "stock" not in anonymous.get(address).body["results"][0]
    first = anonymous.get(address, limit=1)
    rest = anonymous.get(address, limit=1, cursor=first.body["next"])
    assert (rest.body["results"][0]["title"], rest.body["next"]) == ("Walnut bowl", None)
    assert first.headers["Link"] == f'</api/v1{address}?limit=1&cursor={first.body["next"]}>; rel="next"'
    assert anonymous.get(f"/users/{api_unknown()}/products").code == "not_found"
    assert anonymous.get("/products", cursor=first.body["next"]).pointers == ["cursor"]


def test_near_spellings_are_offered_when_nothing_matches(shop: dict[str, Any], anonymous: Api) -> None:
    offered = anonymous.get("/products", q="wallnut bowll").body
    assert offered["did_you_mean"] == "walnut bowl"
    assert [one["title"] for one in offered["results"]] == ["Walnut bowl"]
    assert anonymous.get("/products", q="bowl").body["did_you_mean"] is None
    assert anonymous.get("/products", q="qqqqqq").body == {"results": [], "next": None, "did_you_mean": None}
    assert anonymous.get("/products", q="wallnut record").body == {"results": [], "next": None, "did_you_mean": None}
    assert "did_you_mean" not in anonymous.get("/products").body


def test_the_best_match_comes_first_by_relevance_and_pages_agree(seller: SignedIn, anonymous: Api) -> None:
    seller.offer("Walnut bowl", description="Turned by hand.")
    seller.offer("Bowl", description="For salad.")
    seller.offer("Lamp", description="With a walnut foot.")
    seller.offer("Record", description="Music.")
    best = titles(anonymous, q="walnut bowl", sort="relevance")
    assert best == ["Walnut bowl", "Bowl", "Lamp"]
    assert titles(anonymous, q="walnut bowl", sort="relevance", limit=1) == best
    assert titles(anonymous, q='"walnut bowl"', sort="relevance") == ["Walnut bowl"]
    assert titles(anonymous, q="walnut -foot", sort="relevance") == ["Walnut bowl"]
    assert titles(anonymous, q="walnut bowl", sort="relevance", seller=api_unknown()) == []
    assert titles(anonymous, sort="relevance") == ["Record", "Lamp", "Bowl", "Walnut bowl"]
    cursor = anonymous.get("/products", q="walnut bowl", sort="relevance", limit=1).body["next"]
    assert anonymous.get("/products", q="walnut bowl", cursor=cursor).pointers == ["cursor"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"q": "a b c d e f g h i j k"}, "q"),
        ({"q": " ".join(["word"] * 500)}, "q"),
        ({"q": "x" * 10_000}, "q"),
        ({"q": "a\0b"}, "q"),
        ({"q": ["a", "b"]}, "q"),
        ({"tag": [f"t{number}" for number in range(21)]}, "tag"),
        ({"tag": "x" * 51}, "tag"),
        ({"seller": "me"}, "seller"),
        ({"id": "1"}, "id"),
        ({"id": [f"01890000-0000-7000-8000-{number:012}" for number in range(101)]}, "id"),
        ({"available": "false"}, "available"),
        ({"available": "1"}, "available"),
        ({"min_price": 1}, "currency"),
        ({"max_price": 1}, "currency"),
        ({"min_price": -1, "currency": "EUR"}, "min_price"),
        ({"max_price": 10**30, "currency": "EUR"}, "max_price"),
        ({"min_price": "1e3", "currency": "EUR"}, "min_price"),
        ({"min_price": 1, "currency": "EURO"}, "currency"),
        ({"min_price": 1, "currency": "XXX"}, "currency"),
        ({"sort": "price"}, "sort"),
        ({"limit": 0}, "limit"),
        ({"limit": 10**20}, "limit"),
        ({"cursor": "W10"}, "cursor"),
        ({"cursor": "x" * 5000}, "cursor"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_question_is_refused_and_named(anonymous: Api, query: dict[str, Any], parameter: str) -> None:
    refused = anonymous.get("/products", **query)
    assert (refused.status, refused.code, refused.pointers) == (400, "malformed_request", [parameter])


@pytest.mark.parametrize(
    "words",
    [
        "((((",
        "'' \\ ' : & | ! <->",
        '"""',
        "x:*",
        "#t:abc",
        "-",
        "- - -",
        "or or or",
        "or",
        "a" * 999,
        "\u202eתירבע",
        "http://a.b/c?d=e",
        "%s %(q)s {}",
        "-a -b",
        '-"a b"',
        "\U0001f600" * 200,
    ],
)
@pytest.mark.parametrize("sort", ["newest", "relevance"])
def test_strange_words_find_nothing_or_something_and_never_fail(
    shop: dict[str, Any], anonymous: Api, words: str, sort: str
) -> None:
    answer = anonymous.get("/products", q=words, sort=sort, tag="kitchen")
    assert answer.status == 200
    assert {one["title"] for one in answer.body["results"]} <= {"Walnut bowl"}


def seen_anywhere(viewer: SignedIn, product: dict[str, Any]) -> set[str]:
    """The doors at which anybody but its seller comes across the product."""
    fold_tag_uses()
    doors = {
        "list": viewer.get("/products"),
        "search": viewer.get("/products", q="walnut"),
        "relevance": viewer.get("/products", q="walnut", sort="relevance"),
        "spelling": viewer.get("/products", q="wallnut"),
        "not": viewer.get("/products", q="-lamp"),
        "tag": viewer.get("/products", tag="wood"),
        "price": viewer.get("/products", min_price=1, max_price=5000, currency="EUR"),
        "available": viewer.get("/products", available="true"),
        "id": viewer.get("/products", id=product["id"]),
        "seller": viewer.get("/products", seller=product["seller"]["id"]),
        "store": viewer.get(f"/users/{product['seller']['id']}/products"),
        "feed": viewer.get("/me/feed"),
    }
    seen = {name for name, answer in doors.items() if any(one["id"] == product["id"] for one in listed(answer))}
    if viewer.get(f"/products/{product['id']}").status == 200:
        seen.add("show")
    if viewer.get("/tags", prefix="wood").body["results"][0]["products_count"]:
        seen.add("suggestion")
    return seen


def listed(answer: Any) -> list[dict[str, Any]]:
    return answer.body["results"] if answer.status == 200 else []


def test_what_is_deleted_or_not_active_is_seen_nowhere(seller: SignedIn, stranger: SignedIn) -> None:
    create_tag(name="wood")
    stranger.put(f"/users/{seller.id}/follow")
    product = seller.offer("Walnut bowl", tags=["wood"], state="DRAFT")
    address = f"/products/{product['id']}"
    everywhere = {"list", "search", "relevance", "spelling", "not", "tag", "price", "available", "id", "seller"}
    everywhere |= {"store", "feed", "show", "suggestion"}
    assert seen_anywhere(stranger, product) == set()
    seller.post(f"{address}/activate")
    assert seen_anywhere(stranger, product) == everywhere
    seller.post(f"{address}/archive")
    assert seen_anywhere(stranger, product) == set()
    seller.post(f"{address}/activate")
    lock_user(username="seller")
    assert seen_anywhere(stranger, product) == {"suggestion"}  # a count of products, not a product
    unlock_user(username="seller")
    assert seen_anywhere(stranger, product) == everywhere
    seller = SignedIn.sign_in("seller", seller.id)
    seller.delete(address)
    assert seen_anywhere(stranger, product) == set()


def test_lists_show_products_exactly_as_they_are_shown_alone(
    shop: dict[str, Any], seller: SignedIn, stranger: SignedIn
) -> None:
    seller.patch(f"/products/{shop['Walnut']['id']}", {"images": [{"url": "https://example.org/a.png", "alt": "A"}]})
    stranger.put(f"/users/{seller.id}/follow")
    for viewer in (Api(), stranger, seller):
        alone = viewer.get(f"/products/{shop['Walnut']['id']}").body
        lists = [
            viewer.get("/products"),
            viewer.get("/products", q="bowl"),
            viewer.get("/products", q="bowl", sort="relevance"),
            viewer.get("/products", id=alone["id"]),
            viewer.get(f"/users/{seller.id}/products"),
            *([viewer.get("/me/feed")] if viewer is stranger else []),
            *([viewer.get("/me/products")] if viewer is seller else []),
        ]
        for answer in lists:
            assert [one for one in answer.body["results"] if one["id"] == alone["id"]] == [alone]


def test_hot_doors_ask_once_and_the_bearer_check_once_more(
    shop: dict[str, Any], seller: SignedIn, tmp_path: Path
) -> None:
    paths = [
        "/products",
        "/products?q=bowl",
        "/products?q=bowl&sort=relevance",
        "/products?tag=wood&available=true&q=bowl&min_price=1&currency=EUR",
        f"/products?id={shop['Oak']['id']}",
        f"/products/{shop['Oak']['id']}",
        "/tags",
        "/tags?prefix=wo",
        f"/users/{seller.id}/products",
    ]
    assert {path: round_trips(tmp_path, Api(), path) for path in paths} == dict.fromkeys(paths, 1)
    paths.append("/me/feed")
    assert {path: round_trips(tmp_path, seller, path) for path in paths} == dict.fromkeys(paths, 2)


def round_trips(folder: Path, caller: Api, path: str) -> int:
    """How often PostgreSQL is asked something for an answer, once that is prepared. Counted by libpq itself."""
    caller.get(path)
    line, told = connection.connection.pgconn, folder / "trace"
    with told.open("wb") as file:
        line.trace(file.fileno())
        try:
            assert caller.get(path).status == 200
        finally:
            line.untrace()
    sent = [parts[3] for parts in (one.split("\t") for one in told.read_text().splitlines()) if parts[1] == "F"]
    return sent.count("Sync") + sent.count("Query")
