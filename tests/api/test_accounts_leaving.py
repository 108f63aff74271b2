"""Deletion and locks: who is out is out at once, and what others hold stands."""

from __future__ import annotations

import pytest

from souk.accounts.operations import lock_user, unlock_user
from souk.kit.problem import NotFound
from tests.books import assert_books_agree, checksums, events_of, rows_of
from tests.callers import PASSWORD, Api, SignedIn


def refresh(caller: SignedIn) -> int:
    return (
        Api()
        .form("/oauth/token", grant_type="refresh_token", refresh_token=caller.refresh_token, client_id="souk-web")
        .status
    )


def sign_in(username: str, password: str = PASSWORD) -> int:
    return (
        Api()
        .form("/oauth/token", grant_type="password", username=username, password=password, client_id="souk-web")
        .status
    )


def test_a_deleted_account_is_out_at_once_and_its_orders_stand(seller: SignedIn, buyer: SignedIn) -> None:
    seller.patch("/me", {"email": "s@example.org", "bio": "Bowls.", "display_name": "Sal"})
    bowl = seller.offer(stock=5)
    order = buyer.order((bowl, 2)).body
    assert seller.post("/me/delete", {"password": PASSWORD}).status == 204

    assert seller.get("/me").status == 401
    assert refresh(seller) == 400
    assert sign_in("seller") == 400
    assert Api().get(f"/users/{seller.id}").status == 404
    assert Api().get("/users", username="seller").body["results"] == []
    assert Api().get(f"/products/{bowl['id']}").status == 404
    assert Api().get("/products").body["results"] == []
    refused = buyer.order((bowl, 1))
    assert (refused.status, refused.code) == (409, "product_not_for_sale")
    confirmed = buyer.post(f"/orders/{order['id']}/confirm", {"payment": {"method": "card", "token": "tok_ok"}})
    assert (confirmed.status, confirmed.body["state"]) == (200, "CONFIRMED")
    assert events_of(seller.id) == ["user.registered", "user.deleted"]
    assert rows_of(
        "SELECT email, bio, display_name, password LIKE '!%%' FROM accounts_user WHERE username='seller'"
    ) == [("", "", "", True)]
    assert_books_agree()


def test_an_account_is_deleted_only_with_its_password(seller: SignedIn) -> None:
    before = checksums()
    refused = seller.post("/me/delete", {"password": "wrong horse battery"})
    assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", ["/password"])
    assert seller.post("/me/delete", {}).pointers == ["/password"]
    assert checksums() == before
    assert seller.get("/me").status == 200


def test_a_locked_user_is_out_until_unlocked_and_signs_in_anew(seller: SignedIn, buyer: SignedIn) -> None:
    bowl = seller.offer(stock=5)
    order = buyer.order((bowl, 2)).body
    lock_user(username="SELLER")
    lock_user(username="seller")

    assert seller.get("/me").status == 401
    assert refresh(seller) == 400
    assert sign_in("seller") == 400
    assert Api().get(f"/users/{seller.id}").status == 404
    assert Api().get("/products").body["results"] == []
    assert buyer.order((bowl, 1)).code == "product_not_for_sale"
    assert buyer.get(f"/orders/{order['id']}").body["state"] == "PENDING_CONFIRMATION"

    unlock_user(username="seller")
    unlock_user(username="seller")
    assert seller.get("/me").status == 401
    assert refresh(seller) == 400
    assert sign_in("seller") == 200
    assert buyer.order((bowl, 1)).status == 201
    assert_books_agree()


def test_a_user_who_is_not_there_cannot_be_locked(anonymous: Api) -> None:
    with pytest.raises(NotFound):
        lock_user(username="nobody")
    with pytest.raises(NotFound):
        unlock_user(username="no body")
