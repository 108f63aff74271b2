"""Confirming and cancelling: what the state, the deadline and the locks allow."""

from __future__ import annotations

from typing import Any

import pytest

from tests.books import checksums, events_of, holds_of, let_deadline_pass, movements_of, rows_of, run, stock_of
from tests.callers import SignedIn
from tests.paying import ask_provider, confirm, hear_outcome, pay

VISA = "4111111111111111"


def test_a_confirmed_order_keeps_its_holds_and_asks_for_its_payment(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=5, price=700)
    order = buyer.order((mug, 2)).body
    confirmed = confirm(buyer, order["id"])
    assert confirmed.status == 200
    assert confirmed.body == {
        **order,
        "state": "CONFIRMED",
        "confirmed_at": confirmed.body["confirmed_at"],
        "updated": confirmed.body["confirmed_at"],
        "payment": {"state": "REQUESTED", "attempts": 1, "decline_code": None},
        "allowed_actions": [],
    }
    assert confirmed.body["confirmed_at"] > order["created"]
    assert holds_of(order["id"]) == [(mug["id"], 2, "infinity")]
    assert stock_of(mug) == (5, 2)
    assert movements_of(mug) == [("received", 5, 0), ("hold", 0, 2)]
    assert events_of(order["id"]) == ["order.placed", "order.confirmed"]
    assert rows_of(
        "SELECT state, attempt, amount, currency, token, payer_id::text FROM payments_payment WHERE reference = %s",
        order["id"],
    ) == [("REQUESTED", 1, 1400, "EUR", "tok_ok", buyer.id)]
    assert rows_of(
        "SELECT type, audience::text[], data->>'reference', data->>'amount' FROM eventlog_event"
        " WHERE subject_type = 'payment'"
    ) == [("payment.requested", [buyer.id], order["id"], "1400")]


def test_a_cancelled_order_gives_its_stock_back(seller: SignedIn, other_seller: SignedIn, buyer: SignedIn) -> None:
    mug, lamp = seller.offer(stock=5), other_seller.offer(stock=1)
    order = buyer.order((mug, 2), (lamp, 1)).body
    cancelled = buyer.post(f"/orders/{order['id']}/cancel")
    assert cancelled.status == 200
    assert cancelled.body == {
        **order,
        "state": "CANCELLED",
        "closed_at": cancelled.body["closed_at"],
        "updated": cancelled.body["closed_at"],
        "allowed_actions": [],
    }
    assert holds_of(order["id"]) == []
    assert (stock_of(mug), stock_of(lamp)) == ((5, 0), (1, 0))
    assert movements_of(mug) == [("received", 5, 0), ("hold", 0, 2), ("release", 0, -2)]
    ((audience,),) = rows_of("SELECT audience::text[] FROM eventlog_event WHERE type = 'order.cancelled'")
    assert sorted(audience) == sorted([buyer.id, seller.id, other_seller.id])


def test_the_history_tells_every_change_oldest_first(seller: SignedIn, buyer: SignedIn) -> None:
    order = buyer.order((seller.offer(), 1)).body
    pay(buyer, order["id"], "tok_declined")
    pay(buyer, order["id"])
    told = buyer.get(f"/orders/{order['id']}/history").body
    user, system = {"type": "user", "id": buyer.id}, {"type": "system", "id": None}
    pending = "PENDING_CONFIRMATION"
    assert [(row["sequence"], row["from"], row["to"], row["event"], row["actor"]) for row in told["results"]] == [
        (1, None, pending, "place", user),
        (2, pending, "CONFIRMED", "confirm", user),
        (3, "CONFIRMED", pending, "take_back", system),
        (4, pending, "CONFIRMED", "confirm", user),
        (5, "CONFIRMED", "ACCEPTED", "accept", system),
    ]
    moments = [row["at"] for row in told["results"]]
    assert moments == sorted(moments)
    assert moments[0] == order["created"]
    assert told["next"] is None
    found: list[int] = []
    page = buyer.get(f"/orders/{order['id']}/history", limit=2).body
    while page["next"]:
        found += [row["sequence"] for row in page["results"]]
        page = buyer.get(f"/orders/{order['id']}/history", limit=2, cursor=page["next"]).body
    assert [*found, *(row["sequence"] for row in page["results"])] == [1, 2, 3, 4, 5]


def in_state(buyer: SignedIn, order_id: str, state: str) -> None:
    """Lead a new order to this end."""
    match state:
        case "CONFIRMED":
            assert confirm(buyer, order_id).status == 200
        case "ACCEPTED":
            pay(buyer, order_id)
        case "CANCELLED":
            assert buyer.post(f"/orders/{order_id}/cancel").status == 200
        case "DECLINED":
            assert confirm(buyer, order_id, "tok_declined").status == 200
            run("UPDATE orders_order SET expires_at = clock_timestamp() WHERE id = %s", order_id)
            ask_provider(order_id)
            hear_outcome(order_id)


@pytest.mark.parametrize("state", ["CONFIRMED", "ACCEPTED", "CANCELLED", "DECLINED"])
def test_an_order_that_is_not_pending_takes_neither_confirmation_nor_cancellation(
    seller: SignedIn, buyer: SignedIn, state: str
) -> None:
    order = buyer.order((seller.offer(), 1)).body
    in_state(buyer, order["id"], state)
    before = checksums()
    for answer in (confirm(buyer, order["id"]), buyer.post(f"/orders/{order['id']}/cancel")):
        assert (answer.status, answer.code) == (409, "illegal_transition")
    assert checksums() == before
    assert buyer.get(f"/orders/{order['id']}").body["allowed_actions"] == []


def test_past_its_deadline_an_order_can_do_nothing_though_no_clock_came_by(seller: SignedIn, buyer: SignedIn) -> None:
    order = buyer.order((seller.offer(), 1)).body
    let_deadline_pass(order["id"])
    before = checksums()
    for answer in (confirm(buyer, order["id"]), buyer.post(f"/orders/{order['id']}/cancel")):
        assert (answer.status, answer.code) == (409, "order_expired")
    shown = buyer.get(f"/orders/{order['id']}").body
    assert (shown["state"], shown["allowed_actions"]) == ("PENDING_CONFIRMATION", [])
    assert checksums() == before


def test_the_version_of_an_order_guards_its_confirmation(seller: SignedIn, buyer: SignedIn) -> None:
    made = buyer.order((seller.offer(), 1))
    address = f"/orders/{made.body['id']}"
    body = {"payment": {"method": "card", "token": "tok_ok"}}
    assert buyer.get(address).etag == made.etag
    assert buyer.get(address, headers={"If-None-Match": f'"{made.etag}"'}).status == 304
    before = checksums()
    for answer in (
        buyer.post(f"{address}/confirm", body, headers={"If-Match": '"other"'}),
        buyer.post(f"{address}/cancel", headers={"If-Match": '"other"'}),
    ):
        assert (answer.status, answer.code) == (412, "version_mismatch")
    assert checksums() == before
    confirmed = buyer.post(f"{address}/confirm", body, headers={"If-Match": f'"{made.etag}"'})
    assert confirmed.status == 200
    assert confirmed.etag not in ("", made.etag)
    assert buyer.get(address, headers={"If-None-Match": f'"{made.etag}"'}).etag == confirmed.etag


@pytest.mark.parametrize(
    ("sent", "pointers"),
    [
        ({}, ["/payment"]),
        ({"payment": None}, ["/payment"]),
        ({"payment": "tok_ok"}, ["/payment"]),
        ({"payment": {"method": "card"}}, ["/payment/token"]),
        ({"payment": {"token": "tok_ok"}}, ["/payment/method"]),
        ({"payment": {"method": "cash", "token": "tok_ok"}}, ["/payment/method"]),
        ({"payment": {"method": "card", "token": ""}}, ["/payment/token"]),
        ({"payment": {"method": "card", "token": "tok_OK"}}, ["/payment/token"]),
        ({"payment": {"method": "card", "token": "tok_nothing"}}, ["/payment/token"]),
        ({"payment": {"method": "card", "token": "x" * 101}}, ["/payment/token"]),
        ({"payment": {"method": "card", "token": 1}}, ["/payment/token"]),
        ({"payment": {"method": "card", "token": ["tok_ok"]}}, ["/payment/token"]),
        ({"payment": {"method": "card", "token": "tok_ok", "cvc": "123"}}, ["/payment/cvc"]),
        ({"payment": {"method": "card", "token": "tok_ok"}, "tip": 1}, ["/tip"]),
        ({"payment": {"method": "card", "token": VISA}}, ["/payment/token"]),
        ({"payment": {"method": "card", "token": "tok_ok"}, "note": "4111-1111 1111-1111"}, ["/note"]),
        ({"payment": {"method": "card", "token": "tok_ok", VISA: 1}}, ["/payment/2"]),
        ({"payment": {"method": "card", "token": "tok_ok"}, "\u0000": VISA}, ["/1"]),
    ],
)
def test_a_confirmation_that_is_not_acceptable_is_refused_and_kept_nowhere(
    seller: SignedIn, buyer: SignedIn, sent: Any, pointers: list[str]
) -> None:
    order = buyer.order((seller.offer(), 1)).body
    before = checksums()
    refused = buyer.post(f"/orders/{order['id']}/confirm", sent, headers={"Idempotency-Key": "k"})
    assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", pointers)
    assert VISA not in str(refused.body)
    assert checksums() == before


def test_a_card_number_under_a_key_that_cannot_be_written_is_refused_too(seller: SignedIn, buyer: SignedIn) -> None:
    order = buyer.order((seller.offer(), 1)).body
    before = checksums()
    sent = b'{"\\ud800": {"\\u0000": "4111111111111111"}}'
    refused = buyer.send("POST", f"/orders/{order['id']}/confirm", sent)
    assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", ["/0/0"])
    assert checksums() == before
