"""Whatever is sent: the problem of the wire's own words, never a 500, and a database that is as it was."""

from __future__ import annotations

from typing import Any

import pytest

from tests.books import checksums
from tests.callers import Answer, Api, SignedIn
from tests.routes import address, routes

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# What a stranger may ask for without a token; everything else is 401, or 405 where there is no such method.
PUBLIC = {
    ("GET", "/products"),
    ("GET", "/products/<uuid:product_id>"),
    ("POST", "/users"),
    ("GET", "/users"),
    ("GET", "/users/<uuid:user_id>"),
    ("GET", "/users/<uuid:user_id>/products"),
    ("GET", "/users/<uuid:user_id>/followers"),
    ("POST", "/password-resets"),
    ("POST", "/password-resets/confirm"),
    ("POST", "/email-verifications/confirm"),
    ("GET", "/tags"),
    ("GET", "/machines"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/redoc"),
}
PUBLIC_BELOW = ("/tags/", "/machines/")

MALFORMED: dict[str, bytes] = {
    "no JSON": b"{",
    "single quotes": b"{'a': 1}",
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a repeated key": b'{"a": 1, "a": 1}',
    "a repeated inner key": b'{"a": {"b": 1, "b": 2}}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "5000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "33 levels": b'{"a": ' + b"[" * 32 + b"]" * 32 + b"}",
    "100,000 levels": b"[" * 100_000,
    "100,000 levels of objects": b'{"a":' * 50_000,
}
UNACCEPTABLE: dict[str, bytes] = {
    "null": b"null",
    "a number": b"7",
    "a list": b"[]",
    "an unknown field": b'{"surprise": 1}',
    "an unknown field with NUL": b'{"a\\u0000b": 1}',
    "a lone surrogate": b'{"surprise": "\\ud800"}',
    "a lone surrogate as name": b'{"\\udfff": 1}',
    "1e400": b'{"surprise": 1e400}',
    "4000 digits": b'{"surprise": ' + b"9" * 4000 + b"}",
    "an unknown field in a list": b'{"lines": [{"surprise": {"a": []}}]}',
}
IDS = ["x", "0", "-1", "%00", "%ff", "..", "null", "1" * 5000, "018f2d6e8e1c7abc8def0123456789ab", "é", "a%2Fb", "'--"]
CURSORS = ["", "x", "%00", "AAAA", "W10", "bnVsbA", "WyJvcmRlcnMiLCJ4Il0", "%ed%a0%80", "9" * 600, "é"]


@pytest.fixture
def doors(seller: SignedIn, buyer: SignedIn) -> list[tuple[SignedIn, str, str]]:
    """Caller, method and address of every write of the order life, with rows that are really there."""
    mug = seller.offer()
    order = buyer.order((mug, 1)).body
    return [
        (seller, "POST", "/products"),
        (seller, "PATCH", f"/products/{mug['id']}"),
        (seller, "POST", f"/products/{mug['id']}/archive"),
        (seller, "POST", f"/products/{mug['id']}/activate"),
        (buyer, "POST", "/orders"),
        (buyer, "POST", f"/orders/{order['id']}/confirm"),
        (buyer, "POST", f"/orders/{order['id']}/cancel"),
    ]


def told(answer: Answer) -> tuple[int, str]:
    """Status and code of a problem, which is whole."""
    code = answer.code
    assert {"type", "title", "status", "code", "detail", "request_id"} <= answer.body.keys()
    assert answer.headers["X-Request-ID"] == answer.body["request_id"]
    return answer.status, code


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_cannot_be_read_is_malformed_at_every_door(doors: list[tuple[SignedIn, str, str]], kind: str) -> None:
    before = checksums()
    heard = [told(caller.send(method, path, MALFORMED[kind])) for caller, method, path in doors]
    assert set(heard) == {(400, "malformed_request")}
    assert checksums() == before


@pytest.mark.parametrize("kind", UNACCEPTABLE)
def test_what_has_another_shape_is_refused_at_every_door(doors: list[tuple[SignedIn, str, str]], kind: str) -> None:
    before = checksums()
    heard = [told(caller.send(method, path, UNACCEPTABLE[kind])) for caller, method, path in doors]
    assert set(heard) == {(400, "validation_failed")}
    assert checksums() == before


def test_a_body_of_300_kilobytes_is_too_large_at_every_door(doors: list[tuple[SignedIn, str, str]]) -> None:
    before = checksums()
    large = b'{"title": "' + b"x" * 300_000 + b'"}'
    for headers in ({}, {"Idempotency-Key": "k"}):
        heard = [told(caller.send(method, path, large, headers=headers)) for caller, method, path in doors]
        assert set(heard) == {(413, "body_too_large")}
    assert checksums() == before


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "multipart/form-data", "application/x-www-form-urlencoded", "x"]
)
def test_another_media_type_is_refused_at_every_door(doors: list[tuple[SignedIn, str, str]], content_type: str) -> None:
    before = checksums()
    heard = [told(caller.send(method, path, b"a=1", content_type=content_type)) for caller, method, path in doors]
    assert set(heard) == {(415, "unsupported_media_type")}
    assert checksums() == before


@pytest.mark.parametrize("kind", [*MALFORMED, *UNACCEPTABLE, "nothing", "300 kB"])
def test_no_body_whatever_makes_any_route_fail(buyer: SignedIn, kind: str) -> None:
    sent = {**MALFORMED, **UNACCEPTABLE, "nothing": b"", "300 kB": b"x" * 300_000}[kind]
    for route in routes():
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = buyer.send(method, address(route), sent)
            # Tickets are kept in Valkey, which does not run here.
            away = route == "/live/tickets" and answer.status == 503
            assert answer.status < 500 or away, (method, route, answer.body)
            if answer.status >= 400:
                told(answer)
        if route == "/me/delete":
            assert buyer.get("/me").status == 200


def test_a_dead_token_is_refused_on_every_route_with_every_method(seller: SignedIn) -> None:
    mug = seller.offer()
    before = checksums()
    for header in ("Bearer dead", "Bearer", "Bearer ", "Basic YTpi", "Bearer é", "Bearer " + "x" * 10_000, "nonsense"):
        for route in routes():
            for method in METHODS:
                path = address(route, product_id=mug["id"], user_id=seller.id)
                answer = Api().send(method, path, b"{}", headers={"Authorization": header})
                assert told(answer) == (401, "not_authenticated"), (header, method, route)
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert checksums() == before


def test_without_a_token_everything_that_is_not_public_is_refused(seller: SignedIn) -> None:
    mug = seller.offer()
    before = checksums()
    for route in routes():
        for method in METHODS:
            if (method, route) in PUBLIC or (method == "GET" and route.startswith(PUBLIC_BELOW)):
                continue
            answer = Api().send(method, address(route, product_id=mug["id"], user_id=seller.id), b"{}")
            assert told(answer) in ((401, "not_authenticated"), (405, "method_not_allowed")), (method, route)
            if answer.status == 401:
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="souk"'
    assert checksums() == before


@pytest.mark.parametrize("garbage", IDS)
def test_a_malformed_id_is_the_id_of_nothing(buyer: SignedIn, garbage: str) -> None:
    before = checksums()
    for path, methods in (
        ("/products/{}", ("GET", "PATCH", "DELETE")),
        ("/products/{}/archive", ("POST",)),
        ("/products/{}/activate", ("POST",)),
        ("/orders/{}", ("GET",)),
        ("/orders/{}/confirm", ("POST",)),
        ("/orders/{}/cancel", ("POST",)),
        ("/orders/{}/history", ("GET",)),
        ("/users/{}", ("GET",)),
    ):
        for method in methods:
            assert told(buyer.send(method, path.format(garbage))) == (404, "not_found"), (method, path)
    assert checksums() == before


@pytest.mark.parametrize("cursor", CURSORS)
def test_a_cursor_of_no_list_is_malformed(seller: SignedIn, buyer: SignedIn, cursor: str) -> None:
    order = buyer.order((seller.offer(), 1)).body
    before = checksums()
    for path in ("/products", "/me/products", "/orders", f"/orders/{order['id']}/history"):
        answer = buyer.get(f"{path}?cursor={cursor}")
        assert (told(answer), answer.pointers) == ((400, "malformed_request"), ["cursor"]), path
    assert checksums() == before


def test_a_cursor_of_another_list_is_malformed(seller: SignedIn, buyer: SignedIn) -> None:
    for _ in range(2):
        assert buyer.order((seller.offer(), 1)).status == 201
    lists = ("/products", "/me/products", "/orders")
    cursors = {path: (seller if path == "/me/products" else buyer).get(path, limit=1).body["next"] for path in lists}
    assert all(cursors.values())
    for path in lists:
        for other in lists:
            status = buyer.get(path, cursor=cursors[other]).status
            assert status == (200 if path == other else 400), (path, other)


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["limit"]),
        ("limit=101", ["limit"]),
        ("limit=1e1", ["limit"]),
        ("limit=99999999999999999999", ["limit"]),
        ("limit=5&limit=6", ["limit"]),
        ("limit=%00", ["limit"]),
        ("surprise=1", ["surprise"]),
        ("%00=1", ["\0"]),
        ("state=null", ["state"]),
    ],
)
def test_a_parameter_that_is_not_acceptable_is_named(buyer: SignedIn, query: str, pointers: list[str]) -> None:
    for path in ("/me/products", "/orders"):
        answer = buyer.get(f"{path}?{query}")
        assert (told(answer), answer.pointers) == ((400, "malformed_request"), pointers), path


def test_broken_percent_signs_and_headers_do_no_harm(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer()
    for query in ("limit=%zz", "%", "limit=%", "a=%ff%fe"):
        assert told(buyer.get(f"/orders?{query}")) == (400, "malformed_request")
    headers = {
        "If-Match": '"\x00", W/',
        "If-None-Match": ",,,",
        "X-Request-ID": "é\x00" * 100,
        "traceparent": "\x00",
        "Accept-Language": "\xff",
    }
    answer = buyer.get(f"/products/{mug['id']}", headers=headers)
    assert answer.status == 200
    assert len(answer.headers["X-Request-ID"]) == 36
    assert buyer.get(f"/products/{mug['id']}", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"


def test_what_the_api_cannot_give_is_not_acceptable(seller: SignedIn) -> None:
    mug = seller.offer()
    for accept in ("application/xml", "text/html", "image/png"):
        assert told(seller.get(f"/products/{mug['id']}", headers={"Accept": accept})) == (406, "not_acceptable")
    for accept in ("*/*", "application/*", "application/json", "text/html, application/json;q=0.1"):
        assert seller.get(f"/products/{mug['id']}", headers={"Accept": accept}).status == 200, accept


def test_a_method_that_an_address_does_not_know_is_told_with_those_it_knows(buyer: SignedIn) -> None:
    before = checksums()
    for method, path, allowed in (
        ("DELETE", "/orders", {"GET", "POST"}),
        ("PUT", "/products", {"GET", "POST"}),
        ("GET", address("/orders/<uuid:order_id>/confirm"), {"POST"}),
        ("FOO", "/orders", {"GET", "POST"}),
        ("TRACE", "/orders", {"GET", "POST"}),
    ):
        answer = buyer.send(method, path)
        assert told(answer) == (405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == allowed
    assert checksums() == before


@pytest.mark.parametrize("path", ["/orders/", "/products/", "/nothing", "/", "", "//api/v1/orders/", "//x", "/ORDERS"])
def test_an_address_of_nothing_is_not_found(buyer: SignedIn, path: str) -> None:
    for method in ("GET", "POST"):
        assert told(buyer.send(method, path)) == (404, "not_found")


def test_the_checks_run_in_one_order(seller: SignedIn, buyer: SignedIn, stranger: SignedIn) -> None:
    mug = seller.offer()
    order: dict[str, Any] = buyer.order((mug, 1)).body
    wrong = {"content_type": "text/plain", "headers": {"If-Match": '"9.9"'}}
    cases: list[tuple[Api, str, str, bytes, dict[str, Any], int]] = [
        (Api(), "PATCH", f"/products/{mug['id']}", b"{", wrong, 401),
        (stranger, "PATCH", f"/products/{mug['id']}", b"{", wrong, 403),
        (stranger, "POST", f"/orders/{order['id']}/confirm", b"{", wrong, 404),
        (seller, "PATCH", f"/products/{mug['id']}", b"{", wrong, 415),
        (buyer, "POST", f"/orders/{order['id']}/confirm", b"{", wrong, 415),
        (seller, "PATCH", f"/products/{mug['id']}", b"{", {"headers": wrong["headers"]}, 400),
        (buyer, "POST", f"/orders/{order['id']}/cancel", b'{"a": 1}', {"headers": wrong["headers"]}, 400),
        (seller, "PATCH", f"/products/{mug['id']}", b'{"stock": 0}', {"headers": wrong["headers"]}, 412),
        (seller, "PATCH", f"/products/{mug['id']}", b'{"stock": 0}', {}, 409),
    ]
    before = checksums()
    assert [caller.send(method, path, body, **more).status for caller, method, path, body, more, _ in cases] == [
        status for *_, status in cases
    ]
    assert checksums() == before
