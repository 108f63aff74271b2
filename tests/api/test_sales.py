"""What a seller sees of the orders that hold lines of theirs."""

from __future__ import annotations

from tests.callers import Api, SignedIn


def test_a_seller_sees_their_lines_alone_and_their_sum(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn
) -> None:
    mug, pot = seller.offer("Mug", price=700), seller.offer("Pot", price=100)
    lamp = other_seller.offer("Lamp", price=1500)
    order = buyer.order((mug, 2), (lamp, 1), (pot, 3)).body
    sale = seller.get(f"/sales/{order['id']}")
    assert sale.status == 200
    assert sale.body == {
        "id": order["id"],
        "state": "PENDING_CONFIRMATION",
        "buyer": {"id": buyer.id, "username": "buyer", "display_name": ""},
        "lines": [order["lines"][0], order["lines"][2]],
        "total": {"amount": 1700, "currency": "EUR"},
        "allowed_actions": [],
        "created": order["created"],
        "updated": order["updated"],
    }
    theirs = other_seller.get("/sales")
    assert [(one["id"], one["total"]["amount"]) for one in theirs.body["results"]] == [(order["id"], 1500)]
    assert theirs.body["results"][0]["lines"] == [order["lines"][1]]


def test_a_sale_follows_its_order_through_its_life(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug")
    order = buyer.order((mug, 1)).body
    buyer.post(f"/orders/{order['id']}/cancel")
    assert seller.get(f"/sales/{order['id']}").body["state"] == "CANCELLED"
    assert [one["state"] for one in seller.get("/sales").body["results"]] == ["CANCELLED"]


def test_sales_come_newest_first_and_page_without_a_gap(seller: SignedIn, buyer: SignedIn) -> None:
    mug, pot = seller.offer("Mug", stock=50), seller.offer("Pot", stock=50)
    placed = [buyer.order((mug, 1), (pot, 1)).body["id"] for _ in range(7)]
    seen: list[str] = []
    page = seller.get("/sales", limit=3)
    while True:
        seen += [one["id"] for one in page.body["results"]]
        if page.body["next"] is None:
            break
        assert 'rel="next"' in page.headers["Link"]
        page = seller.get("/sales", limit=3, cursor=page.body["next"])
    assert seen == placed[::-1]
    assert seller.get("/sales", cursor="x").code == "malformed_request"


def test_nobody_else_sees_a_sale(seller: SignedIn, buyer: SignedIn, stranger: SignedIn) -> None:
    order = buyer.order((seller.offer("Mug"), 1)).body
    for caller in (stranger, buyer):
        refused = caller.get(f"/sales/{order['id']}")
        assert (refused.status, refused.code) == (404, "not_found")
        assert caller.get("/sales").body == {"results": [], "next": None}
    assert seller.get("/sales/nothing").status == 404
    assert Api().get("/sales").code == "not_authenticated"
