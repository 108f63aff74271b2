"""Limits, counted in a real Valkey: who asks too often waits, and who guesses waits longer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from threading import BoundedSemaphore
from typing import Any

import pytest
import redis
from django.core.mail import EmailMessage
from django.test import RequestFactory

from souk.accounts import hashing
from souk.accounts.operations import send_due_mails
from souk.kit import ratelimit
from souk.kit.ratelimit import ForwardedByProxies, RateLimited, Use, address_of, count
from tests.books import checksums, value_of
from tests.callers import PASSWORD, Answer, Api, SignedIn
from tests.rivals import at_once
from tests.streams import running_valkey

NOBODY_LISTENS = "redis://127.0.0.1:1/0"
QUOTAS = {
    "reads": (1000, 60),
    "writes": (1000, 60),
    "registrations": (1000, 60),
    "sign-in-address": (1000, 600),
    "sign-in-account": (20, 600),
    "verification-mails": (3, 36_000),
}


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as client:
        yield client


@pytest.fixture
def limits(valkey: redis.Redis, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Settings with limits on, and nothing counted yet."""
    valkey.flushall()
    settings.RATE_LIMITS = True
    settings.RATE_QUOTAS = dict(QUOTAS)
    settings.CACHE_URL = f"redis://127.0.0.1:{valkey.connection_pool.connection_kwargs['port']}/0"
    monkeypatch.setattr(ratelimit._Line, "closed_until", 0.0)
    return settings


def sign_in(username: str, password: str = PASSWORD, **headers: str) -> Answer:
    fields = {"grant_type": "password", "username": username, "password": password, "client_id": "souk-web"}
    body = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in fields.items())
    return Api().send(
        "POST",
        "//oauth/token",
        body.encode(),
        content_type="application/x-www-form-urlencoded",
        headers=headers,
    )


def test_failed_sign_ins_of_one_account_are_stopped_and_others_go_on(
    seller: SignedIn, buyer: SignedIn, limits: Any
) -> None:
    assert [sign_in("seller", "wrong horse").status for _ in range(3)] == [400, 400, 429]
    stopped = sign_in("SELLER")
    assert (stopped.status, stopped.body["error"]) == (429, "rate_limited")
    # There must be room for another failure, which is half of the quota: five minutes.
    assert 200 <= int(stopped.headers["Retry-After"]) <= 300
    assert stopped.headers["RateLimit-Policy"] == '"sign-in-account";q=20;w=600'
    assert stopped.headers["RateLimit"].startswith('"sign-in-account";r=0;t=')
    assert sign_in("buyer").status == 200


def test_a_sign_in_that_succeeds_counts_once(seller: SignedIn, limits: Any) -> None:
    assert sign_in("seller").headers["RateLimit"].startswith('"sign-in-account";r=19;t=')
    assert sign_in("seller").headers["RateLimit"].startswith('"sign-in-account";r=18;t=')


@pytest.mark.parametrize("spelling", ["%EF%BD%93eller", "seller%20", "s%E2%80%8Beller", "%C5%BFELLER", "SELLER"])
def test_another_spelling_of_a_name_is_another_account_or_none(seller: SignedIn, limits: Any, spelling: str) -> None:
    assert [sign_in("seller", "wrong horse").status for _ in range(2)] == [400, 400]
    # Stopped like the account that it would sign in to; or it is the name of nobody.
    assert sign_in(spelling).status in (400, 429)
    assert sign_in("seller").status == 429


def test_of_many_guesses_at_once_no_more_are_tried_than_one_after_the_other(
    seller: SignedIn, limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    whole = hashing.OwaspArgon2Hasher.verify

    def counted(self: hashing.OwaspArgon2Hasher, password: str, encoded: str) -> bool:
        tried.append(password)
        return whole(self, password, encoded)

    monkeypatch.setattr(hashing.OwaspArgon2Hasher, "verify", counted)
    guesses = [partial(sign_in, "seller", f"guess number {number}") for number in range(12)]
    assert sorted(answer.status for answer in at_once(guesses)) == [400] * 2 + [429] * 10
    assert len(tried) == 2


def test_a_sign_in_that_tried_no_password_is_no_failure(
    seller: SignedIn, limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(hashing.OwaspArgon2Hasher, "turns", BoundedSemaphore(1))
    with hashing.OwaspArgon2Hasher.turns:
        assert [sign_in("seller").status for _ in range(4)] == [429] * 4
    assert sign_in("seller").headers["RateLimit"].startswith('"sign-in-account";r=19;t=')


def test_failed_sign_ins_from_one_address_are_stopped_whatever_the_account(seller: SignedIn, limits: Any) -> None:
    limits.RATE_QUOTAS["sign-in-address"] = (30, 600)
    assert [sign_in(f"nobody{number}").status for number in range(4)] == [400, 400, 400, 429]
    assert sign_in("seller").status == 429


def test_registrations_of_one_address_are_limited(anonymous: Api, limits: Any) -> None:
    limits.RATE_QUOTAS["registrations"] = (2, 600)
    answers = [anonymous.post("/users", {"username": f"user{n}", "password": PASSWORD}) for n in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 429]
    assert answers[2].code == "rate_limited"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 300
    assert value_of("SELECT count(*) FROM accounts_user") == 2


def test_a_stolen_token_cannot_be_used_to_guess_the_password(seller: SignedIn, limits: Any) -> None:
    answers = [seller.post("/me/delete", {"password": f"guess number {n}"}) for n in range(5)]
    assert [answer.status for answer in answers] == [400, 400, 400, 400, 429]
    change = {"current_password": PASSWORD, "new_password": "another horse battery"}
    assert seller.post("/me/password", change).status == 429


def test_a_body_that_guesses_nothing_is_not_counted_as_a_guess(seller: SignedIn, limits: Any) -> None:
    bodies: list[Any] = [b"{", b"[]", {}, {"password": 7}, {"password": "x", "more": 1}, {"current_password": "x"}]
    for path in ("/me/delete", "/me/password"):
        assert {seller.send("POST", path, body).status for body in bodies} == {400}
        assert seller.send("POST", path, b"password=x", content_type="text/plain").status == 415
        assert {seller.send(method, path, {"password": "x"}).status for method in ("GET", "PUT", "DELETE")} == {405}
    assert sign_in("seller").headers["RateLimit"].startswith('"sign-in-account";r=19;t=')


def test_the_doors_beside_the_api_are_limited_too(seller: SignedIn, limits: Any) -> None:
    limits.RATE_QUOTAS |= {"reads": (1, 600), "writes": (1, 600)}
    revocation = {"token": "x", "client_id": "souk-web"}
    assert [Api().form("/oauth/revoke", **revocation).status for _ in range(2)] == [200, 429]
    metadata = [Api().get("//.well-known/oauth-authorization-server") for _ in range(2)]
    assert [(answer.status, "RateLimit" in answer.headers) for answer in metadata] == [(200, True), (429, True)]


def test_an_address_that_anybody_can_type_is_not_flooded_with_mails(
    seller: SignedIn, limits: Any, mailoutbox: list[EmailMessage]
) -> None:
    for number in range(6):
        assert seller.patch("/me", {"email": f"Victim@{'EXAMPLE' if number % 2 else 'example'}.org"}).status == 200
        send_due_mails()
    made = Api().post("/users", {"username": "another", "password": PASSWORD, "email": "victim@example.org"})
    assert made.status == 201
    send_due_mails()
    assert len(mailoutbox) == 3
    assert seller.patch("/me", {"email": "somebody@else.example"}).status == 200
    send_due_mails()
    assert mailoutbox[-1].to == ["somebody@else.example"]
    assert value_of("SELECT count(*) FROM accounts_mailrequest") == 0


def test_reads_and_writes_show_where_their_limits_stand(seller: SignedIn, limits: Any) -> None:
    limits.RATE_QUOTAS["reads"] = (3, 60)
    limits.RATE_QUOTAS["writes"] = (2, 60)
    first = seller.get("/me")
    assert first.headers["RateLimit-Policy"] == '"reads";q=3;w=60'
    assert first.headers["RateLimit"] == '"reads";r=2;t=20'
    assert [Api().get("/products").status for _ in range(3)] == [200, 200, 429]
    before = checksums()
    assert [seller.patch("/me", {}).status for _ in range(2)] == [200, 200]
    refused = seller.post("/products", {})
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert {**checksums(), "accounts_user": ""} == {**before, "accounts_user": ""}


def test_a_limit_is_exact_under_many_at_once(limits: Any) -> None:
    limits.RATE_QUOTAS["writes"] = (10, 600)

    def one() -> bool:
        try:
            count([Use("writes", "somebody")])
        except RateLimited:
            return False
        return True

    assert sorted(at_once([one] * 30)) == [False] * 20 + [True] * 10


def test_nothing_is_counted_when_one_of_two_limits_refuses(limits: Any) -> None:
    limits.RATE_QUOTAS |= {"writes": (1, 600), "reads": (5, 600)}
    count([Use("writes", "x")])
    for _ in range(3):
        with pytest.raises(RateLimited):
            count([Use("reads", "x"), Use("writes", "x")])
    assert [one.left for one in count([Use("reads", "x")])] == [4]


def test_what_is_counted_by_force_never_takes_longer_than_the_window(limits: Any) -> None:
    limits.RATE_QUOTAS["writes"] = (10, 600)
    for _ in range(5):
        (standing,) = count([Use("writes", "x", cost=100)], force=True)
    assert (standing.left, standing.reset) == (0, 600)


def test_names_and_addresses_do_not_stand_in_valkey(seller: SignedIn, limits: Any, valkey: redis.Redis) -> None:
    # Windows so long that one request is still counted when we look.
    limits.RATE_QUOTAS = dict.fromkeys(QUOTAS, (20, 36_000))
    sign_in("seller")
    seller.get("/me")
    keys = [key.decode() for key in valkey.scan_iter()]
    assert {key.split(":")[2] for key in keys} == {"sign-in-account", "sign-in-address", "reads"}
    assert not any("seller" in key or "127.0.0.1" in key for key in keys)
    assert all(valkey.pttl(key) > 0 for key in keys)


def test_without_valkey_reads_and_writes_go_on_and_nobody_signs_in(seller: SignedIn, limits: Any) -> None:
    limits.CACHE_URL = NOBODY_LISTENS
    assert (seller.get("/me").status, Api().get("/products").status) == (200, 200)
    assert seller.patch("/me", {"bio": "still here"}).status == 200
    refused = sign_in("seller")
    assert (refused.status, refused.body["error"]) == (503, "temporarily_unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    registration = Api().post("/users", {"username": "newcomer", "password": PASSWORD})
    assert (registration.status, registration.code) == (503, "dependency_unavailable")
    assert seller.post("/me/delete", {"password": PASSWORD}).status == 503


def test_limits_can_be_switched_off(seller: SignedIn, limits: Any) -> None:
    limits.RATE_LIMITS = False
    limits.CACHE_URL = NOBODY_LISTENS
    assert [sign_in("seller", "wrong horse").status for _ in range(5)] == [400] * 5
    answer = seller.get("/me")
    assert (answer.status, "RateLimit" in answer.headers) == (200, False)


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "address"),
    [
        ([], "198.51.100.7", "203.0.113.9", "198.51.100.7"),
        (["10.0.0.0/8"], "198.51.100.7", "203.0.113.9", "198.51.100.7"),
        (["10.0.0.0/8"], "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.1", "192.0.2.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", None, "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", "", "10.0.0.1"),
        ([], "2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ([], "::ffff:198.51.100.7", None, "198.51.100.7"),
        ([], "", "203.0.113.9", "unknown"),
    ],
)
def test_a_forwarded_address_is_believed_from_our_proxies_alone(
    settings: Any, proxies: list[str], remote: str, forwarded: str | None, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=remote)
    assert address_of(request) == address


@pytest.mark.parametrize(("remote", "secure"), [("10.0.0.1", True), ("198.51.100.7", False), ("", False)])
def test_that_a_request_came_by_https_is_believed_from_our_proxies_alone(
    settings: Any, remote: str, secure: bool
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    request = RequestFactory().get("/", headers={"X-Forwarded-Proto": "https"}, REMOTE_ADDR=remote)
    assert ForwardedByProxies(lambda asked: asked.is_secure())(request) is secure


def test_more_hashes_than_two_at_once_wait_for_their_turn_or_are_refused(
    seller: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "PATIENCE_SECONDS", 0.01)
    assert hashing.OwaspArgon2Hasher.turns.acquire(timeout=5)
    assert sign_in("seller").status == 200
    assert hashing.OwaspArgon2Hasher.turns.acquire(timeout=5)
    try:
        refused = sign_in("seller")
    finally:
        hashing.OwaspArgon2Hasher.turns.release()
        hashing.OwaspArgon2Hasher.turns.release()
    assert (refused.status, refused.body["error"], refused.headers["Retry-After"]) == (429, "rate_limited", "1")
    assert sign_in("seller").status == 200
