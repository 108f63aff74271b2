"""How every address behaves as HTTP, whatever it is about: one walk over the whole URL configuration."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest

from souk.web.contract.generator import Contract
from souk.web.contract.operations import Place
from tests.books import checksums, value_of
from tests.callers import Api, Asking, SignedIn
from tests.routes import address, routes

PLACES = list(Contract().places())
DOORS = [place for place in PLACES if place.is_door]
PAGES = ("/api/v1/docs", "/api/v1/redoc")
PUBLIC_READS = [place for place in DOORS if place.method == "GET" and place.description.caller == "anyone"]


def methods_of(path: str) -> set[str]:
    return {place.method for place in PLACES if place.path == path}


def filled(place: Place, **known: Any) -> str:
    """The address of a place with ids of nothing, but for those that are known."""
    path = place.path
    for name in ("product_id", "user_id", "order_id", "webhook_id", "name"):
        path = path.replace(f"{{{name}}}", str(known.get(name, address(f"<uuid:{name}>"))))
    return path


def ask(method: str, path: str, token: str | None = None, **headers: str) -> Any:
    sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **headers}
    return Asking().generic(method, path, b"", content_type="", headers=sent)


@pytest.fixture
def known(seller: SignedIn) -> dict[str, str]:
    return {"product_id": seller.offer()["id"], "user_id": seller.id, "name": "order"}


def paths() -> Iterator[str]:
    yield from sorted({place.path for place in PLACES})


def test_options_tells_the_methods_of_every_address(anonymous: Api, known: dict[str, str]) -> None:
    for place in {place.path: place for place in PLACES}.values():
        if place.path.startswith("/oauth/"):
            continue  # RFC 6749 has its own words: 405 with Allow
        answer = ask("OPTIONS", filled(place, **known))
        allowed = set(answer["Allow"].split(", ")) - {"OPTIONS", "HEAD"}
        assert (answer.status_code, answer.content, allowed) == (204, b"", methods_of(place.path)), place.path


def test_a_method_that_is_not_there_is_405_with_those_that_are(seller: SignedIn, known: dict[str, str]) -> None:
    for path in paths():
        there = methods_of(path)
        place = next(place for place in PLACES if place.path == path)
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - there:
            answer = ask(method, filled(place, **known), seller.token)
            assert answer.status_code == 405, (method, path)
            assert there <= set(answer["Allow"].split(", ")), (method, path)
            media = "application/json" if path.startswith("/oauth/") else "application/problem+json"
            assert answer["Content-Type"] == media, (method, path)


def test_head_is_get_without_a_body(seller: SignedIn, known: dict[str, str]) -> None:
    for place in PLACES:
        if place.method != "GET" or place.path == "/metrics":
            continue
        path = filled(place, **known) + ("?username=seller" if place.description.name == "find_user" else "")
        whole, head = ask("GET", path, seller.token), ask("HEAD", path, seller.token)
        assert (head.status_code, head.content) == (whole.status_code, b""), path
        assert head.get("ETag") == whole.get("ETag"), path
        assert head["Content-Type"] == whole["Content-Type"], path


def test_what_no_door_can_give_is_406_everywhere(seller: SignedIn, known: dict[str, str]) -> None:
    for place in DOORS:
        answer = ask(place.method, filled(place, **known), seller.token, Accept="application/x-nothing")
        assert (answer.status_code, answer["Content-Type"]) == (406, "application/problem+json"), place.path


def test_a_query_that_nobody_reads_is_refused_everywhere_and_nothing_is_done(
    seller: SignedIn, known: dict[str, str]
) -> None:
    before, unread = checksums(), 0
    for place in DOORS:
        if place.path in PAGES:
            continue  # a link to a page may say where it stood
        answer = ask(place.method, filled(place, **known) + "?dry_run=true", seller.token)
        if place.description.query is None:
            # With nothing in the body and ids of nothing, other faults of a request are told first.
            assert answer.status_code in (400, 403, 404, 415), (place.method, place.path)
            unread += answer.status_code == 400
        if answer.status_code == 400:
            named = {error["parameter"] for error in answer.json()["errors"]}
            assert "dry_run" in named, (place.method, place.path)
        else:
            assert answer.status_code in (403, 404, 415), (place.method, place.path)
    assert unread > 15
    assert {**checksums(), "accounts_user": ""} == {**before, "accounts_user": ""}


def test_a_query_is_read_where_the_contract_says_that_there_is_one() -> None:
    for place in DOORS:
        assert place.view is not None
        if place.path in PAGES:
            continue
        reads = place.method == "GET" and place.view.queried  # type: ignore[attr-defined]  # it is a Door
        assert reads == (place.description.query is not None), (place.method, place.path)


def test_a_change_with_a_query_is_refused_under_a_key_too_and_the_key_stays_free(seller: SignedIn) -> None:
    spoon = {"title": "Spoon", "price": {"amount": 900, "currency": "EUR"}, "stock": 1}
    key = {"Idempotency-Key": "once"}
    refused = seller.post("/products?dry_run=true", spoon, headers=key)
    assert (refused.status, refused.code) == (400, "malformed_request")
    assert value_of("SELECT count(*) FROM catalog_product") == 0
    assert seller.post("/products", spoon, headers=key).status == 201
    assert seller.post("/products?", spoon, headers={"Idempotency-Key": "twice"}).status == 201


def test_another_media_type_is_415_wherever_a_body_is_read(seller: SignedIn, known: dict[str, str]) -> None:
    asked = 0
    for place in DOORS:
        body = place.description.body
        # What is somebody's else is told first, and so is what is not there: 403 and 404 come before 415.
        if body is None or "{" in place.path or place.description.caller == "staff":
            continue
        answer = seller.send(place.method, f"/{place.path}", b"a=1", content_type="text/plain")
        assert (answer.status, answer.code) == (415, "unsupported_media_type"), place.path
        asked += 1
    assert asked > 10


def test_answers_with_a_token_are_stored_nowhere_and_public_reads_for_seconds(
    seller: SignedIn, known: dict[str, str]
) -> None:
    for place in PLACES:
        path = filled(place, **known)
        if place.is_door and place.path not in ("/api/v1/openapi.json", *PAGES):
            answer = ask(place.method, path, seller.token)
            assert answer["Cache-Control"] == "no-store", (place.method, path, answer.status_code)
        answer = ask(place.method, path)
        public = place in PUBLIC_READS and answer.status_code == 200
        stored = answer["Cache-Control"]
        assert stored in (("public, max-age=2", "public, max-age=5") if public else ("no-store",)), (path, stored)
        if place.is_door:
            assert {"Accept", "Authorization"} <= set(answer["Vary"].split(", ")), path


def test_a_version_that_the_caller_has_is_not_sent_again(seller: SignedIn, known: dict[str, str]) -> None:
    asked = 0
    for place in DOORS:
        if place.method != "GET" or not place.description.etag or "order" in place.path:
            continue
        first = ask("GET", filled(place, **known), seller.token)
        assert first.status_code == 200, place.path
        again = ask("GET", filled(place, **known), seller.token, **{"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"]), place.path
        assert not {"Content-Type", "Content-Length"} & set(again.headers), place.path
        assert {"Accept", "Accept-Encoding", "Authorization"} <= set(again["Vary"].split(", ")), place.path
        weak = ask("GET", filled(place, **known), seller.token, **{"If-None-Match": f'"x", W/{first["ETag"]}'})
        assert weak.status_code == 304, place.path
        asked += 1
    assert asked == 3


@pytest.mark.parametrize(("asked", "coding"), [("gzip", "gzip"), ("br, gzip", "br"), ("gzip;q=0", None), ("", None)])
def test_a_large_answer_is_compressed_for_those_who_can_read_it(
    seller: SignedIn, asked: str, coding: str | None
) -> None:
    for _ in range(20):
        seller.offer(description="Turned by hand from one piece of walnut. " * 20)
    plain = ask("GET", "/api/v1/products", **{"Accept-Encoding": "identity"})
    answer = ask("GET", "/api/v1/products", **{"Accept-Encoding": asked})
    assert answer.get("Content-Encoding") == coding
    assert "Accept-Encoding" in answer["Vary"]
    if coding == "gzip":
        assert gzip.decompress(answer.content) == plain.content
    assert (len(answer.content) < len(plain.content) / 3) == (coding is not None)


def test_a_slash_at_the_end_leads_nowhere(seller: SignedIn, known: dict[str, str]) -> None:
    for place in PLACES:
        answer = ask(place.method, filled(place, **known) + "/", seller.token)
        assert answer.status_code == 404, place.path
        assert answer["Content-Type"] == "application/problem+json", place.path


def test_every_answer_names_its_request(seller: SignedIn, known: dict[str, str]) -> None:
    for place in PLACES:
        for token in (None, seller.token, "dead"):
            answer = ask(place.method, filled(place, **known), token, **{"X-Request-ID": "mine-1"})
            assert answer["X-Request-ID"] == "mine-1", place.path
    assert len(ask("GET", "/nothing")["X-Request-ID"]) == 36


def test_every_address_below_the_prefix_is_walked() -> None:
    assert len(routes()) == len({place.path for place in PLACES if place.path.startswith("/api/v1/")})
