"""One effect per Idempotency-Key: the same answer again, byte for byte, and never a second effect."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from django.http import HttpResponse

from souk.kit.problem import Refused, rendered
from tests.books import checksums, rows_of, run, stock_of, value_of
from tests.callers import Answer, SignedIn
from tests.rivals import at_once, in_background, rival, wait_for_waiting

ORDERS = "SELECT count(*) FROM orders_order"
KEPT = "SELECT count(*) FROM kit_idempotentanswer"


def place(buyer: SignedIn, product: dict[str, Any], quantity: int = 1, *, key: str = "k") -> Answer:
    """Order under a key."""
    lines = [{"product_id": product["id"], "quantity": quantity}]
    return buyer.post("/orders", {"lines": lines}, headers={"Idempotency-Key": key})


def sent_for(product: dict[str, Any]) -> bytes:
    """The bytes of the order that `place` sends."""
    return msgspec.json.encode({"lines": [{"product_id": product["id"], "quantity": 1}]})


def test_the_same_request_again_gives_the_same_answer_and_no_second_effect(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=5)
    first = place(buyer, mug, 2)
    assert first.status == 201
    assert "Idempotent-Replayed" not in first.headers
    assert buyer.post(f"/orders/{first.body['id']}/cancel").status == 200
    before = checksums()
    again = place(buyer, mug, 2)
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    for name in ("Content-Type", "Location", "ETag"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert checksums() == before


def test_a_replay_repeats_the_bytes(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    sent = b'{"lines": [{"product_id": "%s", "quantity": 1}]}' % mug["id"].encode()
    headers = {"Idempotency-Key": "k", "Authorization": f"Bearer {buyer.token}"}

    def raw() -> bytes:
        response = buyer._client.generic(
            "POST", "/api/v1/orders", sent, content_type="application/json", headers=headers
        )
        return bytes(response.content)

    assert raw() == raw() == bytes(value_of("SELECT body FROM kit_idempotentanswer"))


def test_the_key_is_the_same_quoted_and_bare_and_other_keys_are_other_requests(
    seller: SignedIn, buyer: SignedIn
) -> None:
    mug = seller.offer(stock=5)
    first = place(buyer, mug, key="order 1")
    assert place(buyer, mug, key='"order 1"').body == first.body
    assert place(buyer, mug, key="order 2").body["id"] != first.body["id"]
    assert value_of(ORDERS) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, f'"{"x" * 256}"', "a\0b", "ä"])
def test_a_key_that_is_none_is_refused_before_anything_happens(seller: SignedIn, buyer: SignedIn, key: str) -> None:
    mug = seller.offer()
    before = checksums()
    refused = place(buyer, mug, key=key)
    assert (refused.status, refused.code) == (400, "malformed_request")
    assert checksums() == before


def test_a_key_that_is_none_is_told_where_the_other_faults_of_a_request_are(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    archive, headers = f"/products/{mug['id']}/archive", {"Idempotency-Key": ""}
    before = checksums()
    heard = [
        buyer.post(f"/products/{buyer.id}/archive", headers=headers),
        buyer.post(archive, headers=headers),
        seller.send("POST", archive, b"{}", headers=headers, content_type="text/plain"),
        seller.post(archive, headers={**headers, "If-Match": '"9.9"'}),
        seller.post(archive, headers=headers),
        seller.post(f"/products/{mug['id']}/activate", headers=headers),
    ]
    assert [answer.status for answer in heard] == [404, 403, 415, 400, 400, 400]
    assert checksums() == before


def test_a_key_of_255_characters_is_kept(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    first = place(buyer, mug, key="x" * 255)
    assert (first.status, place(buyer, mug, key=f'"{"x" * 255}"').body) == (201, first.body)


def test_a_key_stands_for_one_request_alone(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=5)
    order_id = place(buyer, mug).body["id"]
    before = checksums()
    headers = {"Idempotency-Key": "k"}
    for answer in (
        place(buyer, mug, 2),
        buyer.post(f"/orders/{order_id}/cancel", headers=headers),
        buyer.post("/products", {"title": "x"}, headers=headers),
        buyer.post("/orders?x=1", {"lines": [{"product_id": mug["id"], "quantity": 1}]}, headers=headers),
        buyer.send("POST", "/orders", sent_for(mug), headers=headers, content_type="text/plain"),
    ):
        assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert checksums() == before


def test_a_key_belongs_to_its_user(seller: SignedIn, buyer: SignedIn, stranger: SignedIn) -> None:
    mug = seller.offer(stock=5)
    first, second = place(buyer, mug), place(stranger, mug, 3)
    assert (first.status, second.status) == (201, 201)
    assert "Idempotent-Replayed" not in second.headers
    assert stock_of(mug) == (5, 4)


def test_a_refusal_by_the_state_of_the_world_is_kept(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=1)
    refused = place(buyer, mug, 2)
    assert refused.code == "out_of_stock"
    assert seller.patch(f"/products/{mug['id']}", {"stock": 5}).status == 200
    again = place(buyer, mug, 2)
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (409, refused.body, "true")
    assert again.code == "out_of_stock"
    assert value_of(ORDERS) == 0
    assert place(buyer, mug, 2, key="another").status == 201


@pytest.mark.parametrize(("theirs", "heard"), [(2, 201), (1, 422)])
def test_who_comes_between_a_refusal_and_its_keeping_is_answered_and_that_stands(
    seller: SignedIn, buyer: SignedIn, monkeypatch: pytest.MonkeyPatch, theirs: int, heard: int
) -> None:
    mug = seller.offer(stock=1)
    between: list[Answer] = []

    def come_between(refused: Refused) -> HttpResponse:
        # The refused transaction has been rolled back, and the one that is to keep the refusal has not begun.
        monkeypatch.undo()
        assert seller.patch(f"/products/{mug['id']}", {"stock": 5}).status == 200
        between.append(place(buyer, mug, theirs))
        return rendered(refused)

    monkeypatch.setattr("souk.kit.idempotency.rendered", come_between)
    answer = place(buyer, mug, 2)
    assert [one.status for one in between] == [201]
    assert answer.status == heard
    if heard == 201:
        assert (answer.body, answer.headers["Idempotent-Replayed"]) == (between[0].body, "true")
    assert (value_of(ORDERS), value_of(KEPT), stock_of(mug)) == (1, 1, (5, theirs))


def test_a_mistake_in_the_request_is_not_kept(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    before = checksums()
    headers = {"Idempotency-Key": "k"}
    order = {"lines": [{"product_id": mug["id"], "quantity": 1}]}
    refusals = [
        (place(buyer, mug, 0), 400),
        (buyer.send("POST", "/orders", b"{", headers=headers), 400),
        (buyer.send("POST", "/orders", b"<a/>", headers=headers, content_type="application/xml"), 415),
        (buyer.send("POST", "/orders", b"x" * 300_000, headers=headers), 413),
        (buyer.post(f"/orders/{mug['id']}/cancel", headers=headers), 404),
        (buyer.post(f"/products/{mug['id']}/archive", headers=headers), 403),
        (seller.post(f"/products/{mug['id']}/archive", headers={**headers, "If-Match": '"9.9"'}), 412),
        (buyer.post("/orders", order, headers={**headers, "Authorization": "Bearer dead"}), 401),
    ]
    assert [(answer.status, status) for answer, status in refusals if answer.status != status] == []
    assert checksums() == before
    assert place(buyer, mug).status == 201


def test_while_a_request_is_answered_the_same_key_is_told_to_come_again(
    seller: SignedIn, buyer: SignedIn, stranger: SignedIn
) -> None:
    mug = seller.offer(stock=5)
    with rival() as cursor:
        cursor.execute("SELECT 1 FROM stock_stock FOR NO KEY UPDATE")
        with in_background(lambda: place(buyer, mug)) as running:
            wait_for_waiting()
            busy = place(buyer, mug)
            assert (busy.status, busy.code, busy.headers["Retry-After"]) == (409, "idempotency_in_progress", "1")
            with in_background(lambda: place(stranger, mug)) as other:
                wait_for_waiting(2)
                cursor.connection.rollback()
                assert other.result().status == 201
            first = running.result()
    assert first.status == 201
    again = place(buyer, mug)
    assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body, "true")
    assert value_of(KEPT) == 2


def test_of_identical_requests_at_once_one_has_the_effect(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=50)
    answers = at_once([lambda: place(buyer, mug)] * 20)
    made = [answer.body["id"] for answer in answers if answer.status == 201]
    busy = [answer.code for answer in answers if answer.status != 201]
    assert len(made) + len(busy) == 20
    assert len(set(made)) == 1
    assert set(busy) <= {"idempotency_in_progress"}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers if answer.status == 201) == 1
    assert (value_of(ORDERS), stock_of(mug), value_of(KEPT)) == (1, (50, 1), 1)


def test_an_effect_that_is_rolled_back_leaves_no_key_behind(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    run("ALTER TABLE kit_idempotentanswer ADD CONSTRAINT nothing_fits CHECK (false) NOT VALID")
    try:
        before = checksums()
        assert place(buyer, mug).status == 500
        assert checksums() == before
    finally:
        run("ALTER TABLE kit_idempotentanswer DROP CONSTRAINT nothing_fits")
    assert place(buyer, mug).status == 201


def test_every_post_that_creates_or_moves_something_honours_the_key(seller: SignedIn, buyer: SignedIn) -> None:
    price = {"amount": 1, "currency": "EUR"}
    mug = seller.post("/products", {"title": "Mug", "price": price, "stock": 1}, headers={"Idempotency-Key": "1"}).body
    order = place(buyer, mug).body
    confirmation = {"payment": {"method": "card", "token": "tok_ok"}}
    calls = [
        (seller, "/products", {"title": "Mug", "price": price, "stock": 1}, "1"),
        (seller, f"/products/{mug['id']}/archive", None, "2"),
        (seller, f"/products/{mug['id']}/activate", None, "3"),
        (buyer, f"/orders/{order['id']}/confirm", confirmation, "4"),
        (buyer, f"/orders/{order['id']}/cancel", None, "5"),
    ]
    first = [caller.post(path, body, headers={"Idempotency-Key": key}) for caller, path, body, key in calls]
    assert [answer.status for answer in first] == [201, 200, 200, 200, 409]
    before = checksums()
    again = [caller.post(path, body, headers={"Idempotency-Key": key}) for caller, path, body, key in calls]
    assert [answer.body for answer in again] == [answer.body for answer in first]
    assert [answer.headers["Idempotent-Replayed"] for answer in again] == ["true"] * 5
    assert checksums() == before
    assert rows_of("SELECT count(*) FROM catalog_product") == [(1,)]
