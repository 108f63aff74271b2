"""Dead tokens go, living ones stay, and many dead ones do not slow the living."""

from __future__ import annotations

from souk.accounts.operations import purge_dead_tokens
from tests.books import rows_of, run, value_of
from tests.callers import Api, SignedIn
from tests.rivals import rival


def counts() -> tuple[int, int]:
    return (
        value_of("SELECT count(*) FROM oauth2_provider_accesstoken"),
        value_of("SELECT count(*) FROM oauth2_provider_refreshtoken"),
    )


def refresh(token: str) -> int:
    return Api().form("/oauth/token", grant_type="refresh_token", refresh_token=token, client_id="souk-web").status


def test_what_can_still_be_used_or_tell_a_replay_is_kept(seller: SignedIn) -> None:
    SignedIn.sign_in("seller", seller.id)
    assert refresh(seller.refresh_token) == 200
    run("UPDATE oauth2_provider_accesstoken SET expires = clock_timestamp() - interval '29 days'")
    assert counts() == (2, 3)
    assert purge_dead_tokens() == 0
    assert counts() == (2, 3)


def test_what_nobody_can_use_any_more_goes_in_steps(seller: SignedIn) -> None:
    for _ in range(3):
        SignedIn.sign_in("seller", seller.id)
    run("UPDATE oauth2_provider_accesstoken SET expires = clock_timestamp() - interval '31 days'")
    living = SignedIn.sign_in("seller", seller.id)
    assert counts() == (5, 5)
    # Two refresh tokens at a time, each with its access token.
    assert purge_dead_tokens(limit=2) == 4
    assert counts() == (3, 3)
    assert purge_dead_tokens(limit=2) == 4
    assert counts() == (1, 1)
    assert purge_dead_tokens(limit=2) == 0
    assert living.get("/me").status == 200
    assert refresh(living.refresh_token) == 200


def test_used_and_forsaken_refresh_tokens_go_and_so_do_stray_access_tokens(seller: SignedIn) -> None:
    used = SignedIn.sign_in("seller", seller.id)
    assert refresh(used.refresh_token) == 200
    run(
        "UPDATE oauth2_provider_refreshtoken SET revoked = clock_timestamp() - interval '30 days'"
        " WHERE revoked IS NOT NULL"
    )
    forsaken = SignedIn.sign_in("seller", seller.id)
    run(
        "UPDATE oauth2_provider_refreshtoken SET access_token_id = NULL"
        " WHERE id = (SELECT max(id) FROM oauth2_provider_refreshtoken)"
    )
    run(
        "UPDATE oauth2_provider_accesstoken SET expires = clock_timestamp()"
        " WHERE id = (SELECT max(id) FROM oauth2_provider_accesstoken)"
    )
    assert counts() == (3, 4)
    assert purge_dead_tokens() == 3
    assert counts() == (2, 2)
    assert forsaken.get("/me").status == 401
    assert rows_of("SELECT 1 FROM oauth2_provider_accesstoken WHERE source_refresh_token_id IS NOT NULL") == []


def test_strays_are_found_among_those_that_are_kept_however_many_there_are(seller: SignedIn) -> None:
    run(
        "INSERT INTO oauth2_provider_accesstoken"
        "       (token, token_checksum, user_id, expires, scope, resource, created, updated)"
        " SELECT '', md5(n::text), %s, now() - interval '1 hour', 'souk', '[]', now(), now()"
        "   FROM generate_series(1, 50) AS n",
        seller.id,
    )
    run("UPDATE oauth2_provider_accesstoken SET expires = now() - interval '1 hour'")
    assert [purge_dead_tokens(limit=1) for _ in range(4)] == [19, 20, 11, 0]
    assert counts() == (1, 1)


def test_a_row_that_somebody_holds_is_passed_over(seller: SignedIn) -> None:
    run("UPDATE oauth2_provider_accesstoken SET expires = clock_timestamp() - interval '31 days'")
    with rival() as cursor:
        cursor.execute("SELECT 1 FROM oauth2_provider_refreshtoken FOR UPDATE")
        assert purge_dead_tokens() == 0
    assert purge_dead_tokens() == 2


def test_old_mailed_tokens_and_grants_go(seller: SignedIn) -> None:
    run(
        "INSERT INTO accounts_mailedtoken (checksum, purpose, user_id, address, expires)"
        " SELECT n, 'password-reset', %s, 'a@b.de', clock_timestamp() + n * interval '1 hour'"
        "   FROM generate_series(-1, 1, 2) AS n",
        seller.id,
    )
    assert purge_dead_tokens() == 1
    assert value_of("SELECT checksum FROM accounts_mailedtoken") == "1"


def test_a_token_is_found_by_index_among_many_dead_ones(seller: SignedIn) -> None:
    from souk.accounts.authentication import CALLER_OF_TOKEN

    run(
        "INSERT INTO oauth2_provider_accesstoken"
        "       (token, token_checksum, user_id, expires, scope, resource, created, updated)"
        " SELECT '', md5(n::text) || md5(n::text), %s, now() - interval '1 hour', 'souk', '[]', now(), now()"
        "   FROM generate_series(1, 20000) AS n",
        seller.id,
    )
    run("ANALYZE oauth2_provider_accesstoken")
    plan = "\n".join(line for (line,) in rows_of(f"EXPLAIN {CALLER_OF_TOKEN.replace('%(checksum)s', '%s')}", "x" * 64))
    assert "Index Scan using" in plan
    assert "Seq Scan on oauth2_provider_accesstoken" not in plan
    while purge_dead_tokens(limit=5000):
        pass
    assert counts() == (1, 1)
