"""Signing in, refreshing, revoking; and that a dead token is dead at the very next request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.books import rows_of, run, value_of
from tests.callers import PASSWORD, Answer, Api, SignedIn
from tests.rivals import at_once, in_background, rival, wait_for_waiting

CLIENT = "souk-web"


def sign_in(username: str = "seller", password: str = PASSWORD, **more: str) -> Answer:
    fields = {"grant_type": "password", "username": username, "password": password, "client_id": CLIENT, **more}
    return Api().form("/oauth/token", **fields)


def refresh(token: str, **more: str) -> Answer:
    return Api().form("/oauth/token", grant_type="refresh_token", refresh_token=token, client_id=CLIENT, **more)


def me(token: str) -> int:
    return Api().get("/me", headers={"Authorization": f"Bearer {token}"}).status


def test_a_sign_in_gives_opaque_tokens_that_are_stored_as_checksums(seller: SignedIn, settings: Any) -> None:
    given = sign_in("SELLER")
    assert given.status == 200
    assert set(given.body) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert (given.body["token_type"], given.body["expires_in"], given.body["scope"]) == ("Bearer", 3600, "souk")
    assert (given.headers["Cache-Control"], given.headers["Pragma"]) == ("no-store", "no-cache")
    assert me(given.body["access_token"]) == 200
    for table in ("accesstoken", "refreshtoken"):
        assert rows_of(f"SELECT DISTINCT token, length(token_checksum) FROM oauth2_provider_{table}") == [("", 64)]  # noqa: S608  # one of two names


def test_moments_of_tokens_are_the_databases(seller: SignedIn) -> None:
    (row,) = rows_of(
        "SELECT a.expires - a.created BETWEEN interval '3600 s' AND interval '3600.1 s',"
        "       a.created >= u.token_epoch, r.created >= u.token_epoch"
        "  FROM oauth2_provider_accesstoken a JOIN oauth2_provider_refreshtoken r ON r.access_token_id = a.id"
        "  JOIN accounts_user u ON u.id = a.user_id"
    )
    assert row == (True, True, True)


@pytest.mark.parametrize(
    ("username", "password"), [("seller", "wrong horse"), ("nobody", PASSWORD), ("no body", PASSWORD), ("é", "é")]
)
def test_wrong_credentials_are_an_invalid_grant(seller: SignedIn, username: str, password: str) -> None:
    refused = sign_in(username, password)
    assert (refused.status, refused.body["error"]) == (400, "invalid_grant")
    assert refused.headers["Cache-Control"] == "no-store"
    assert value_of("SELECT count(*) FROM oauth2_provider_accesstoken") == 1


def test_an_unknown_name_costs_one_hash_like_a_known_one(seller: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    from souk.accounts.hashing import OwaspArgon2Hasher

    hashed: list[str] = []

    def counted(name: str, whole: Callable[..., Any]) -> Callable[..., Any]:
        def method(*given: Any) -> Any:
            hashed.append(name)
            return whole(*given)

        return method

    for name in ("encode", "verify"):
        monkeypatch.setattr(OwaspArgon2Hasher, name, counted(name, getattr(OwaspArgon2Hasher, name)))
    for username in ("seller", "nobody", "no body"):
        assert sign_in(username, "wrong horse").status == 400
    assert hashed == ["verify", "encode", "encode"]


def test_a_refresh_gives_a_new_pair_and_ends_the_old_one(seller: SignedIn) -> None:
    given = refresh(seller.refresh_token)
    assert given.status == 200
    assert given.body["access_token"] not in ("", seller.token)
    assert given.body["refresh_token"] not in ("", seller.refresh_token)
    assert (me(str(seller.token)), me(given.body["access_token"])) == (401, 200)


def test_a_used_refresh_token_ends_its_whole_family_and_no_other(seller: SignedIn) -> None:
    other = sign_in().body
    first = refresh(seller.refresh_token).body
    second = refresh(first["refresh_token"]).body
    replayed = refresh(seller.refresh_token)
    assert (replayed.status, replayed.body["error"]) == (400, "invalid_grant")
    assert me(second["access_token"]) == 401
    assert refresh(second["refresh_token"]).status == 400
    assert me(other["access_token"]) == 200
    assert refresh(other["refresh_token"]).status == 200


def test_twenty_refreshes_of_one_token_at_once_give_one_new_pair(seller: SignedIn) -> None:
    answers = at_once([lambda: refresh(seller.refresh_token) for _ in range(20)])
    assert sorted(answer.status for answer in answers) == [200] + [400] * 19
    assert {answer.body["error"] for answer in answers if answer.status == 400} == {"invalid_grant"}
    (won,) = [answer.body for answer in answers if answer.status == 200]
    assert won["access_token"]
    assert won["refresh_token"]
    # Nineteen of them used it a second time, which is what a thief would do.
    assert me(won["access_token"]) == 401
    assert refresh(won["refresh_token"]).status == 400


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
def test_a_revoked_token_takes_its_partner_along(seller: SignedIn, kind: str, hint: str) -> None:
    given = sign_in().body
    answer = Api().form("/oauth/revoke", token=given[kind], token_type_hint=hint, client_id=CLIENT)
    assert (answer.status, answer.body) == (200, "")
    assert me(given["access_token"]) == 401
    assert refresh(given["refresh_token"]).status == 400
    assert me(str(seller.token)) == 200


def test_revoking_an_unknown_token_is_answered_alike_but_an_unknown_client_is_not(seller: SignedIn) -> None:
    assert Api().form("/oauth/revoke", token="nonsense", client_id=CLIENT).status == 200
    refused = Api().form("/oauth/revoke", token=str(seller.token), client_id="nobody")
    assert (refused.status, refused.body["error"]) == (401, "invalid_client")
    assert me(str(seller.token)) == 200


def test_an_expired_token_is_dead_by_the_clock_of_the_database(seller: SignedIn) -> None:
    run("UPDATE oauth2_provider_accesstoken SET expires = clock_timestamp()")
    dead = seller.get("/me")
    assert (dead.status, dead.code) == (401, "not_authenticated")
    assert dead.headers["WWW-Authenticate"] == 'Bearer realm="souk", error="invalid_token"'
    assert seller.get("/products").status == 401
    assert refresh(seller.refresh_token).status == 200


def test_a_refresh_token_is_dead_thirty_days_after_its_access_token(seller: SignedIn) -> None:
    run("UPDATE oauth2_provider_accesstoken SET expires = clock_timestamp() - interval '30 days'")
    assert refresh(seller.refresh_token).status == 400


def test_a_password_that_changes_while_somebody_signs_in_with_the_old_one_wins(seller: SignedIn) -> None:
    with rival() as cursor:
        cursor.execute("UPDATE accounts_user SET password = 'other', token_epoch = clock_timestamp()")
        with in_background(sign_in) as signing_in:
            # The old password proved right; the row that it was read from is locked by the change.
            wait_for_waiting()
            cursor.connection.commit()
        assert signing_in.result().body["error"] == "invalid_grant"
    assert value_of("SELECT count(*) FROM oauth2_provider_accesstoken") == 1


def test_a_refresh_that_waits_for_a_lock_of_its_user_gives_nothing(seller: SignedIn) -> None:
    with rival() as cursor:
        cursor.execute("UPDATE accounts_user SET is_active = false, token_epoch = clock_timestamp()")
        with in_background(lambda: refresh(seller.refresh_token)) as refreshing:
            wait_for_waiting()
            cursor.connection.commit()
        assert refreshing.result().body["error"] == "invalid_grant"


def test_the_password_grant_can_be_switched_off(seller: SignedIn, settings: Any) -> None:
    settings.PASSWORD_GRANT = False
    refused = sign_in()
    assert (refused.status, refused.body["error"]) == (400, "unauthorized_client")
    assert Api().get("//.well-known/oauth-authorization-server").body["grant_types_supported"] == ["refresh_token"]
    assert refresh(seller.refresh_token).status == 200


def test_the_metadata_name_the_doors_that_are_there(anonymous: Api) -> None:
    told = anonymous.get("//.well-known/oauth-authorization-server").body
    assert told["token_endpoint"] == f"{told['issuer']}/oauth/token"
    assert told["revocation_endpoint"] == f"{told['issuer']}/oauth/revoke"
    assert told["grant_types_supported"] == ["password", "refresh_token"]
    assert anonymous.get("//oauth/authorize").status == 404
    assert anonymous.get("//oauth/introspect").status == 404
    assert anonymous.get("//oauth/applications/").status == 404
