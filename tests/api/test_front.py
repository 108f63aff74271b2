"""The short way to the doors answers as Django's own way does."""

from __future__ import annotations

import io
import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from souk.kit.front import Front
from souk.kit.turns import DOORS
from souk.web.contract.generator import Contract
from tests.callers import SignedIn
from tests.routes import address

# What differs from one request to the next; gzip has no place here, since nobody asks for it.
OWN = re.compile(rb'"request_id":"[^"]*"|"trace_id":"[^"]*"')
BESIDE = ("", "/", "/nothing", "/products/", "/products/%00", "/products/%ff", "/machines/order/../bag", "//products")


def asked(handler: Any, method: str, path: str, **more: str) -> tuple[str, dict[str, str], bytes]:
    """Status, headers and body of an answer, without what is its own alone."""
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), **more,
    }  # fmt: skip
    told: list[Any] = []
    answer: Any = handler(environ, lambda *begun: told.extend(begun))
    body = b"".join(answer)
    getattr(answer, "close", lambda: None)()
    headers = {name: value for name, value in told[1] if name != "X-Request-ID"}
    assert len(headers) == len(told[1]) - 1
    return told[0], headers, OWN.sub(b"", body)


def test_every_address_answers_the_same_on_both_ways(seller: SignedIn) -> None:
    short, long = Front(), WSGIHandler()
    places = {
        "/api/v1"
        + re.sub(r"{(\w+)}", lambda name: str(address(f"<uuid:{name[1]}>")), place.path.removeprefix("/api/v1"))
        for place in Contract().places()
    }
    assert len(places) > 30
    token = {"HTTP_AUTHORIZATION": f"Bearer {seller.token}"}
    for path in sorted(places | {f"/api/v1{beside}" for beside in BESIDE}):
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
            for more in ({}, token) if method in ("GET", "HEAD") else ({},):
                assert asked(short, method, path, **more) == asked(long, method, path, **more), (method, path)
    for query in ("limit=2&q=bowl", "cursor=x", "dry_run=true", "q=%ff", "q=%00", "limit=1&limit=2"):
        path = f"/api/v1/products?{query}"
        assert asked(short, "GET", path) == asked(long, "GET", path), query


def test_what_a_layer_of_the_chain_raises_is_a_problem_on_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("souk.kit.request.finish", fail)
    answers = [asked_bare(handler, "/api/v1/machines") for handler in (Front(), WSGIHandler())]
    assert answers[0] == answers[1]
    assert answers[0].startswith("500")


def asked_bare(handler: Any, path: str) -> str:
    """The status alone: an answer that no layer has finished names no request."""
    told: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "wsgi.input": io.BytesIO(), "HTTP_HOST": "127.0.0.1"}
    for _ in handler(environ, lambda *begun: told.extend(begun)):
        pass
    return str(told[0])


def test_what_a_view_raises_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("souk.web.machines.Machines.dispatch", fail)
    for handler in (Front(), WSGIHandler()):
        status, headers, body = asked(handler, "GET", "/api/v1/machines")
        assert (status, headers["Content-Type"]) == ("500 Internal Server Error", "application/problem+json")
        assert b"RuntimeError" not in body


def test_addresses_are_remembered_by_their_kind_alone(seller: SignedIn) -> None:
    handler, long = Front(), WSGIHandler()
    mug, lamp = seller.offer("Mug")["id"], seller.offer("Lamp")["id"]
    kinds = (
        "/products/{}", "/products/{}/", "/orders/{}/confirm", "/users/{}/products", "/{}", "/{}/{}", "/machines/{}",
        "/products/x{}", "/products/*", "/machines", "/machines/order", "/products",
    )  # fmt: skip
    for one in (mug, lamp, str(uuid4()), mug.upper(), "0" * 32):
        for kind in kinds:
            path = "/api/v1" + kind.replace("{}", one)
            assert asked(handler, "GET", path) == asked(long, "GET", path), path
    products, orders, users = (f"/api/v1/{name}/" for name in ("products", "orders", "users"))
    assert set(handler._known) == {
        (products, ""), (orders, "/confirm"), (users, "/products"), "/api/v1/machines", "/api/v1/products",
    }  # fmt: skip
    assert (handler._known[products, ""].kwargs, mug != lamp) == ({"product_id": UUID(mug)}, True)


def test_the_pages_for_staff_go_the_long_way(clean_database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[str] = []
    way = Front._behind_the_door

    def noting(handler: Front, request: HttpRequest) -> HttpResponseBase:
        went.append(request.path)
        return way(handler, request)

    monkeypatch.setattr(Front, "_behind_the_door", noting)
    handler = Front()
    assert DOORS == "/api/"
    assert asked(handler, "GET", "/admin/")[0] == "302 Found"
    assert asked(handler, "GET", "/api/v1/machines")[0] == "200 OK"
    assert went == ["/api/v1/machines"]
