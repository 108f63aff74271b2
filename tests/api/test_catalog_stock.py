"""The seller's doors to the stock ledger of a product."""

from __future__ import annotations

from typing import Any

import pytest

from tests.callers import Api, SignedIn


def ledger(seller: SignedIn, product: dict[str, Any]) -> list[tuple[Any, ...]]:
    answer = seller.get(f"/products/{product['id']}/stock-movements")
    assert answer.status == 200
    return [
        (row["kind"], row["change_on_hand"], row["change_reserved"], row["reason"], row["note"])
        for row in answer.body["results"]
    ]


def test_the_ledger_tells_what_came_what_was_corrected_and_what_is_held(seller: SignedIn, buyer: SignedIn) -> None:
    product = seller.offer(stock=10)
    address = f"/products/{product['id']}/stock-movements"
    made = seller.post(address, {"change": 5, "reason": "received", "note": "Second box"})
    assert (made.status, made.headers["Location"]) == (201, f"/api/v1{address}")
    assert set(made.body) == {
        "id",
        "kind",
        "change_on_hand",
        "change_reserved",
        "reason",
        "note",
        "order_id",
        "created",
    }
    seller.post(address, {"change": -2, "reason": "damaged"})
    order = buyer.order((product, 3)).body
    assert ledger(seller, product) == [
        ("hold", 0, 3, None, None),
        ("correction", -2, 0, "damaged", None),
        ("received", 5, 0, "received", "Second box"),
        ("received", 10, 0, "received", None),
    ]
    assert seller.get(address).body["results"][0]["order_id"] == order["id"]
    shown = seller.get(f"/products/{product['id']}").body
    assert (shown["stock"], shown["available"]) == ({"on_hand": 13, "reserved": 3}, 10)


def test_stock_below_what_is_held_or_above_a_million_is_refused_and_changes_nothing(
    seller: SignedIn, buyer: SignedIn
) -> None:
    product = seller.offer(stock=10)
    buyer.order((product, 4))
    address = f"/products/{product['id']}/stock-movements"
    before = ledger(seller, product)
    refused = seller.post(address, {"change": -7, "reason": "counted"})
    assert (refused.status, refused.code, refused.pointers) == (409, "stock_below_reserved", ["/change"])
    too_many = seller.post(address, {"change": 999_991, "reason": "received"})
    assert (too_many.status, too_many.code, too_many.pointers) == (400, "validation_failed", ["/change"])
    assert ledger(seller, product) == before
    assert seller.post(address, {"change": -6, "reason": "counted"}).status == 201


def test_the_ledger_is_the_sellers_alone(seller: SignedIn, stranger: SignedIn) -> None:
    product, draft = seller.offer(), seller.offer("Draft", state="DRAFT")
    for item, code in ((product, "forbidden"), (draft, "not_found")):
        address = f"/products/{item['id']}/stock-movements"
        assert stranger.get(address).code == code
        assert stranger.post(address, {"change": 1, "reason": "received"}).code == code
        assert Api().get(address).code == "not_authenticated"
    seller.delete(f"/products/{product['id']}")
    assert seller.get(f"/products/{product['id']}/stock-movements").code == "not_found"


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"change": 1}, ["/reason"]),
        ({"change": 1_000_001, "reason": "received"}, ["/change"]),
        ({"change": "1", "reason": "received"}, ["/change"]),
        ({"change": 1, "reason": "stolen"}, ["/reason"]),
        ({"change": 1, "reason": "received", "note": "x" * 501}, ["/note"]),
        ({"change": 1, "reason": "received", "note": "\0", "who": 1}, ["/note"]),
    ],
)
def test_malformed_movements_are_refused(seller: SignedIn, body: dict[str, Any], pointers: list[str]) -> None:
    product = seller.offer()
    refused = seller.post(f"/products/{product['id']}/stock-movements", body)
    assert (refused.code, refused.pointers) == ("validation_failed", pointers)
    assert len(ledger(seller, product)) == 1


def test_the_ledger_is_paged_and_a_repeated_request_with_one_key_moves_stock_once(seller: SignedIn) -> None:
    product = seller.offer(stock=0)
    address = f"/products/{product['id']}/stock-movements"
    for number in range(1, 6):
        for _ in range(2):
            seller.post(address, {"change": number, "reason": "received"}, headers={"Idempotency-Key": f"k{number}"})
    first = seller.get(address, limit=3).body
    rest = seller.get(address, limit=3, cursor=first["next"]).body
    assert [row["change_on_hand"] for row in (*first["results"], *rest["results"])] == [5, 4, 3, 2, 1]
    assert rest["next"] is None
    assert seller.get(address, cursor="nonsense").code == "malformed_request"
