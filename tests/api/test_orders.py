"""Placing an order: stock is held, prices are fixed, and what cannot be held is refused and holds nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import Settings

from tests.books import checksums, events_of, holds_of, let_deadline_pass, movements_of, rows_of, run, stock_of
from tests.callers import Answer, SignedIn

HISTORY = "SELECT source, target, event, actor FROM eventlog_transition WHERE subject_id = %s ORDER BY sequence"


def line_of(
    product: dict[str, Any], seller: SignedIn, *, quantity: int, unit_price: int, line_total: int
) -> dict[str, Any]:
    """A line as the wire shows it."""
    return {
        "product_id": product["id"],
        "seller": {"id": seller.id, "username": seller.username, "display_name": ""},
        "title": product["title"],
        "unit_price": {"amount": unit_price, "currency": "EUR"},
        "quantity": quantity,
        "line_total": {"amount": line_total, "currency": "EUR"},
    }


def test_an_order_over_several_sellers_holds_every_line(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn
) -> None:
    mug, lamp = seller.offer("Mug", stock=5, price=700), other_seller.offer("Lamp", stock=1, price=4999)
    made = buyer.order((mug, 2), (lamp, 1))
    assert made.status == 201
    order = made.body
    assert made.headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert order == {
        "id": order["id"],
        "state": "PENDING_CONFIRMATION",
        "lines": [
            line_of(mug, seller, quantity=2, unit_price=700, line_total=1400),
            line_of(lamp, other_seller, quantity=1, unit_price=4999, line_total=4999),
        ],
        "total": {"amount": 6399, "currency": "EUR"},
        "expires_at": order["expires_at"],
        "confirmed_at": None,
        "accepted_at": None,
        "closed_at": None,
        "reason": None,
        "payment": None,
        "allowed_actions": ["confirm", "cancel"],
        "created": order["created"],
        "updated": order["created"],
    }
    held_for = datetime.fromisoformat(order["expires_at"]) - datetime.fromisoformat(order["created"])
    assert held_for == timedelta(seconds=300)
    assert (stock_of(mug), stock_of(lamp)) == ((5, 2), (1, 1))
    assert sorted(holds_of(order["id"])) == sorted(
        [(mug["id"], 2, order["expires_at"]), (lamp["id"], 1, order["expires_at"])]
    )
    assert movements_of(mug) == [("received", 5, 0), ("hold", 0, 2)]
    assert movements_of(lamp) == [("received", 1, 0), ("hold", 0, 1)]
    assert rows_of(HISTORY, order["id"]) == [(None, "PENDING_CONFIRMATION", "place", f"user:{buyer.id}")]


def test_the_event_of_a_new_order_reaches_the_buyer_and_every_seller_once(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn
) -> None:
    first, second, lamp = seller.offer(), seller.offer(), other_seller.offer()
    order = buyer.order((first, 1), (second, 1), (lamp, 1)).body
    ((event_type, sequence, actor, audience),) = rows_of(
        "SELECT type, sequence, actor, audience::text[] FROM eventlog_event WHERE subject_id = %s", order["id"]
    )
    assert (event_type, sequence, actor) == ("order.placed", 1, f"user:{buyer.id}")
    assert sorted(audience) == sorted([seller.id, other_seller.id, buyer.id])


def test_equal_products_are_merged_where_they_are_named_first(seller: SignedIn, buyer: SignedIn) -> None:
    mug, lamp = seller.offer("Mug", stock=5), seller.offer("Lamp", stock=5)
    order = buyer.order((mug, 1), (lamp, 1), (mug, 3)).body
    assert [(line["title"], line["quantity"]) for line in order["lines"]] == [("Mug", 4), ("Lamp", 1)]
    assert (stock_of(mug), stock_of(lamp)) == ((5, 4), (5, 1))
    refused = buyer.order((lamp, 1), (mug, 1), (lamp, 9), (mug, 1))
    assert refused.code == "out_of_stock"
    assert [(error["pointer"], error["requested"], error["available"]) for error in refused.body["errors"]] == [
        ("/lines/0", 10, 4),
        ("/lines/1", 2, 1),
    ]


def test_the_last_unit_can_be_ordered_and_selling_out_is_told(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=2)
    assert buyer.order((mug, 1)).status == 201
    order = buyer.order((mug, 1)).body
    assert buyer.get(f"/products/{mug['id']}").body["available"] == 0
    assert buyer.order((mug, 1)).code == "out_of_stock"
    assert buyer.post(f"/orders/{order['id']}/cancel").status == 200
    assert events_of(mug["id"]) == ["product.created", "product.sold_out", "product.back_in_stock"]
    assert stock_of(mug) == (2, 1)


def test_one_short_line_refuses_the_whole_order_and_holds_nothing(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn
) -> None:
    mug, lamp = seller.offer(stock=5), other_seller.offer(stock=1)
    before = checksums()
    refused = buyer.order((mug, 2), (lamp, 2))
    assert (refused.status, refused.code) == (409, "out_of_stock")
    assert [
        (error["pointer"], error["code"], error["requested"], error["available"]) for error in refused.body["errors"]
    ] == [("/lines/1", "out_of_stock", 2, 1)]
    assert checksums() == before


def test_what_nobody_can_buy_is_not_for_sale_whatever_the_reason(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn
) -> None:
    good, draft = seller.offer(), seller.offer(state="DRAFT")
    archived, deleted = seller.offer(), seller.offer()
    locked = other_seller.offer()
    seller.post(f"/products/{archived['id']}/archive")
    seller.delete(f"/products/{deleted['id']}")
    run("UPDATE accounts_user SET is_active = false WHERE id = %s", other_seller.id)
    before = checksums()
    unknown = {"id": str(uuid4())}
    refused = buyer.order((good, 1), (draft, 1), (archived, 1), (deleted, 1), (unknown, 1), (locked, 1))
    assert (refused.status, refused.code) == (409, "product_not_for_sale")
    assert refused.pointers == ["/lines/1", "/lines/2", "/lines/3", "/lines/4", "/lines/5"]
    assert checksums() == before


def test_nobody_buys_from_themselves(seller: SignedIn, other_seller: SignedIn) -> None:
    own, foreign = seller.offer(), other_seller.offer()
    before = checksums()
    refused = seller.order((foreign, 1), (own, 1))
    assert (refused.status, refused.code, refused.pointers) == (409, "own_product", ["/lines/1"])
    assert checksums() == before


def test_one_order_takes_one_currency(seller: SignedIn, buyer: SignedIn) -> None:
    in_reais = {"title": "Caneca", "price": {"amount": 100, "currency": "BRL"}, "stock": 1}
    euros, reais = seller.offer(), seller.post("/products", in_reais).body
    before = checksums()
    refused = buyer.order((euros, 1), (reais, 1))
    assert (refused.status, refused.code, refused.pointers) == (409, "currency_mismatch", ["/lines/1"])
    assert checksums() == before
    assert buyer.order((reais, 1)).body["total"] == {"amount": 100, "currency": "BRL"}


def test_hoarding_is_refused_until_an_order_ends_or_its_deadline_passes(
    seller: SignedIn, buyer: SignedIn, settings: Settings
) -> None:
    settings.MAX_HOLDS_PER_USER = 2
    mug = seller.offer(stock=10)
    orders = [buyer.order((mug, 1)).body for _ in range(2)]
    before = checksums()
    refused = buyer.order((mug, 1))
    assert (refused.status, refused.code) == (409, "too_many_holds")
    assert checksums() == before
    assert buyer.post(f"/orders/{orders[0]['id']}/cancel").status == 200
    assert buyer.order((mug, 1)).status == 201
    assert buyer.order((mug, 1)).code == "too_many_holds"
    # The clock has not come by: what is due holds nothing any more all the same.
    let_deadline_pass(orders[1]["id"])
    assert buyer.order((mug, 1)).status == 201
    assert stock_of(mug) == (10, 2)


def test_lines_stay_as_they_were_whatever_becomes_of_product_and_seller(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", price=700)
    order = buyer.order((mug, 1)).body
    seller.patch(f"/products/{mug['id']}", {"title": "Cup", "price": {"amount": 9, "currency": "USD"}})
    run("UPDATE accounts_user SET username = 'renamed', display_name = 'Renamed' WHERE id = %s", seller.id)
    seller.delete(f"/products/{mug['id']}")
    shown = buyer.get(f"/orders/{order['id']}")
    assert shown.body == order


def test_the_largest_order_adds_up(seller: SignedIn, buyer: SignedIn) -> None:
    gold = seller.offer(stock=1_000_000, price=10**12)
    made = buyer.order(*[(gold, 1000)] * 100)
    assert made.status == 201
    assert made.body["total"] == {"amount": 10**17, "currency": "EUR"}
    assert stock_of(gold) == (1_000_000, 100_000)


@pytest.mark.parametrize(
    ("lines", "pointers"),
    [
        ([], ["/lines"]),
        (None, ["/lines"]),
        ({}, ["/lines"]),
        ([{"product_id": "ID", "quantity": 1}] * 101, ["/lines"]),
        ([{"product_id": "ID", "quantity": 0}], ["/lines/0/quantity"]),
        ([{"product_id": "ID", "quantity": -1}], ["/lines/0/quantity"]),
        ([{"product_id": "ID", "quantity": 1001}], ["/lines/0/quantity"]),
        ([{"product_id": "ID", "quantity": 1.5}], ["/lines/0/quantity"]),
        ([{"product_id": "ID", "quantity": 10**18}], ["/lines/0/quantity"]),
        ([{"product_id": "ID", "quantity": 10**30}], ["/lines/0/quantity"]),
        ([{"product_id": "ID", "quantity": "1"}], ["/lines/0/quantity"]),
        ([{"product_id": "ID", "quantity": True}], ["/lines/0/quantity"]),
        ([{"product_id": "ID"}], ["/lines/0/quantity"]),
        ([{"quantity": 1}], ["/lines/0/product_id"]),
        ([{"product_id": "no id", "quantity": 1}], ["/lines/0/product_id"]),
        ([{"product_id": 5, "quantity": 1}], ["/lines/0/product_id"]),
        ([{"product_id": "ID", "quantity": 1, "price": 1}], ["/lines/0/price"]),
    ],
)
def test_lines_that_are_not_acceptable_are_refused(
    seller: SignedIn, buyer: SignedIn, lines: Any, pointers: list[str]
) -> None:
    mug = seller.offer()
    sent = (
        [{**line, **({"product_id": mug["id"]} if line.get("product_id") == "ID" else {})} for line in lines]
        if isinstance(lines, list)
        else lines
    )
    before = checksums()
    refused = buyer.post("/orders", {"lines": sent})
    assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", pointers)
    assert checksums() == before


def test_a_strangers_order_is_not_there(seller: SignedIn, buyer: SignedIn, stranger: SignedIn) -> None:
    mug = seller.offer()
    order = buyer.order((mug, 1)).body
    before = checksums()
    address = f"/orders/{order['id']}"
    for caller in (stranger, seller):
        answers: list[Answer] = [
            caller.get(address),
            caller.get(f"{address}/history"),
            caller.post(f"{address}/cancel"),
            caller.post(f"{address}/confirm", {"payment": {"method": "card", "token": "tok_ok"}}),
            caller.post(f"{address}/confirm", {"nonsense": 1}),
        ]
        assert [(answer.status, answer.code) for answer in answers] == [(404, "not_found")] * 5
        assert caller.get("/orders").body == {"results": [], "next": None}
    assert checksums() == before


def test_own_orders_are_listed_newest_first_page_by_page_and_by_state(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    ids = [buyer.order((mug, 1)).body["id"] for _ in range(3)]
    buyer.post(f"/orders/{ids[1]}/cancel")
    first = buyer.get("/orders", limit=2)
    assert [row["id"] for row in first.body["results"]] == [ids[2], ids[1]]
    assert first.headers["Link"] == f'</api/v1/orders?limit=2&cursor={first.body["next"]}>; rel="next"'
    second = buyer.get("/orders", limit=2, cursor=first.body["next"]).body
    assert ([row["id"] for row in second["results"]], second["next"]) == ([ids[0]], None)
    pending = buyer.get("/orders", state="PENDING_CONFIRMATION").body["results"]
    assert [row["id"] for row in pending] == [ids[2], ids[0]]
    assert pending[0] == buyer.get(f"/orders/{ids[2]}").body
    assert buyer.get("/orders", state="PENDING").pointers == ["state"]
