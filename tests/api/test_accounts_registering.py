"""Opening an account, and the profile of its owner."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from souk.accounts import hashing
from tests.books import assert_books_agree, checksums, events_of, rows_of, value_of
from tests.callers import PASSWORD, Api, SignedIn
from tests.rivals import at_once

ENORMOUS = b"1" + b"0" * 400


def test_registering_gives_the_account_its_address_and_one_event(anonymous: Api) -> None:
    made = anonymous.post(
        "/users", {"username": "Ada.L", "password": PASSWORD, "email": "ada@example.org", "display_name": "Ada"}
    )
    assert made.status == 201
    user_id = made.body["id"]
    assert made.headers["Location"] == f"/api/v1/users/{user_id}"
    assert made.body == {
        "id": user_id,
        "username": "Ada.L",
        "display_name": "Ada",
        "bio": "",
        "followers_count": 0,
        "products_count": 0,
        "created": made.body["created"],
        "updated": made.body["created"],
        "email": "ada@example.org",
        "email_verified": False,
        "is_staff": False,
    }
    assert made.body["created"].endswith("Z")
    assert events_of(user_id) == ["user.registered"]
    assert rows_of("SELECT data, actor, audience::text[] FROM eventlog_event") == [
        ('{"username": "Ada.L"}', f"user:{user_id}", [user_id])
    ]
    assert value_of("SELECT password FROM accounts_user").startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert_books_agree()


def test_the_public_face_of_a_user_never_shows_the_address(anonymous: Api, seller: SignedIn) -> None:
    seller.patch("/me", {"email": "s@example.org", "bio": "Bowls.", "display_name": "Sal"})
    seller.offer()
    seller.offer("A draft", state="DRAFT")
    shown = anonymous.get(f"/users/{seller.id}")
    assert set(shown.body) == {
        "id",
        "username",
        "display_name",
        "bio",
        "followers_count",
        "products_count",
        "created",
        "updated",
    }
    assert (shown.body["bio"], shown.body["products_count"]) == ("Bowls.", 1)
    assert anonymous.get("/users", username="SELLER").body == {"results": [shown.body], "next": None}
    assert anonymous.get("/users", username="nobody").body == {"results": [], "next": None}
    assert anonymous.get("/users", username="\u202eseller").body == {"results": [], "next": None}


def test_a_list_of_users_needs_a_name(anonymous: Api) -> None:
    answer = anonymous.get("/users")
    assert (answer.status, answer.code, answer.pointers) == (400, "malformed_request", ["username"])
    assert anonymous.get("/users", username="seller", cursor="nonsense").pointers == ["cursor"]


@pytest.mark.parametrize("username", ["seller", "SELLER", "sElleR"])
def test_a_name_is_given_out_once_whatever_its_case(seller: SignedIn, username: str) -> None:
    before = checksums()
    refused = Api().post("/users", {"username": username, "password": PASSWORD})
    assert (refused.status, refused.code, refused.pointers) == (409, "username_taken", ["/username"])
    assert checksums() == before


def test_the_name_of_a_deleted_user_is_not_given_out_again(seller: SignedIn) -> None:
    assert seller.post("/me/delete", {"password": PASSWORD}).status == 204
    refused = Api().post("/users", {"username": "Seller", "password": PASSWORD})
    assert (refused.status, refused.code) == (409, "username_taken")


def test_fifty_registrations_of_one_name_at_once_give_one_user(anonymous: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine the last of fifty hashes comes late, and its request would be told to come again.
    monkeypatch.setattr(hashing, "PATIENCE_SECONDS", 60)
    names = ["popular" if n % 2 else "POPULAR" for n in range(50)]
    answers = at_once([partial(Api().post, "/users", {"username": name, "password": PASSWORD}) for name in names])
    assert sorted(answer.status for answer in answers) == [201] + [409] * 49
    assert value_of("SELECT count(*) FROM accounts_user") == 1
    assert value_of("SELECT count(*) FROM eventlog_event") == 1


@pytest.mark.parametrize("username", ["admin", "Root", "souk", "SUPPORT"])
def test_a_name_of_the_market_itself_is_refused(anonymous: Api, username: str) -> None:
    refused = anonymous.post("/users", {"username": username, "password": PASSWORD})
    assert (refused.status, refused.code) == (400, "validation_failed")
    assert refused.body["errors"][0]["code"] == "reserved"


# Marks that turn the direction of what follows, or that nobody sees.
MARKED = ["ann\u200e", "\u202eevil", "ann\u0301"]
# What NFKC would make letters of: the contract has none of them.
WIDE = ["Ｓeller", "ｓｏｕｋ", "ª8j"]
BAD: dict[str, list[Any]] = {
    "username": [
        *MARKED,
        *WIDE,
        None,
        7,
        True,
        [],
        {},
        "",
        "ab",
        "a" * 33,
        "a b",
        "é" * 5,
        "a/b",
        "a\nb",
        "日本語",
        "a" * 5000,
    ],
    "password": [None, 7, [], "", "short", "x" * 129, "password", "31415926535897", "newcomer1"],
    "email": [7, [], "no-address", "a@", "@b.de", "a@b", "a b@c.de", "a@b.de\n", "a" * 300],
    "display_name": [None, 7, "x" * 101, "a\nb", "\u202etxet", "\x1b[31m", "a\u2028b"],
    "is_staff": [True],
    "id": ["01a20b65-1af4-7037-a5e5-cb2693d60797"],
}


def test_a_value_that_cannot_be_is_told_at_its_place_and_changes_nothing(anonymous: Api) -> None:
    for field, value in [(field, value) for field, values in BAD.items() for value in values]:
        refused = anonymous.post("/users", {"username": "newcomer", "password": PASSWORD, field: value})
        assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", [f"/{field}"]), value
    assert value_of("SELECT count(*) FROM accounts_user") == 0


def test_what_no_database_could_keep_is_refused(anonymous: Api) -> None:
    for place in ("username", "password", "email", "display_name"):
        for text in (rb'"a\u0000bcdefgh"', rb'"a\ud800bcdefgh"', ENORMOUS, b"-" + ENORMOUS + b".5"):
            fields = {"username": b'"newcomer"', "password": b'"correct horse battery"', place: text}
            body = b",".join(b'"%s":%s' % (name.encode(), value) for name, value in fields.items())
            refused = anonymous.send("POST", "/users", b"{" + body + b"}")
            assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", [f"/{place}"]), text
    assert value_of("SELECT count(*) FROM accounts_user") == 0


def test_a_body_that_cannot_be_read_is_refused(anonymous: Api) -> None:
    for body, media, status in (
        (b"username=newcomer&password=correct+horse", "application/x-www-form-urlencoded", 415),
        (b'{"username": "newcomer", "password": "correct horse"}', "text/plain", 415),
        (b'{"username": "newcomer", "username": "other", "password": "correct horse"}', "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b'"\xff"', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"", "application/json", 415),
    ):
        assert anonymous.send("POST", "/users", body, content_type=media).status == status, body[:80]
    assert value_of("SELECT count(*) FROM accounts_user") == 0


def test_a_missing_name_and_password_are_both_told(anonymous: Api) -> None:
    assert sorted(anonymous.post("/users", {}).pointers) == ["/password", "/username"]


def test_a_password_is_the_same_after_nfkc(anonymous: Api) -> None:
    made = anonymous.post("/users", {"username": "wide", "password": "ｃｏｒｒｅｃｔ ｈｏｒｓｅ"})
    assert made.status == 201
    given = anonymous.form(
        "/oauth/token", grant_type="password", username="WIDE", password="correct horse", client_id="souk-web"
    )
    assert given.status == 200


def test_a_profile_is_changed_field_by_field(seller: SignedIn) -> None:
    assert seller.patch("/me", {}).status == 200
    changed = seller.patch("/me", {"bio": "One.\nTwo.", "email": "s@example.org"})
    assert (changed.body["bio"], changed.body["email"], changed.body["display_name"]) == (
        "One.\nTwo.",
        "s@example.org",
        "",
    )
    assert changed.body["updated"] > changed.body["created"]
    assert seller.patch("/me", {"email": None}).body["email"] is None
    assert seller.get("/me").body["bio"] == "One.\nTwo."


def test_nothing_but_the_profile_can_be_changed(seller: SignedIn) -> None:
    before = checksums()
    for sent in (
        {"bio": "x" * 2001},
        {"bio": None},
        {"bio": "\x07"},
        {"display_name": "x" * 101},
        {"email": "nonsense"},
        {"username": "other"},
        {"is_staff": True},
        {"email_verified": True},
        {"password": "another horse battery"},
    ):
        refused = seller.patch("/me", sent)
        assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", [f"/{next(iter(sent))}"])
    assert checksums() == before
