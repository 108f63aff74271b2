"""The doors behind which everybody finds products."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from souk.accounts.authentication import signed_in
from souk.accounts.models import User
from souk.kit.cursor import decode_cursor, encode_cursor, link_next
from souk.kit.door import Door, answer_list
from souk.kit.measures import search_seconds, searches_respelled, searches_short
from souk.kit.parsing import Page, query_of
from souk.kit.problem import NotFound
from souk.search.operations import choosing
from souk.search.operations.finding import Found, Wish, find_followed, find_newest
from souk.search.operations.spelling import find_near_spelling
from souk.search.serializers import ProductQuery

LIST, BEST, STORE, FEED = "products", "products by relevance", "users/products", "me/feed"


class Products(Door):
    """`GET /products`."""

    queried = True

    def get(self, request: Request) -> HttpResponse:
        asked = query_of(ProductQuery, request).checked()
        wish = Wish(
            words=asked.words(),
            tags=tuple(dict.fromkeys(asked.tag)),
            seller=asked.seller,
            currency=asked.currency,
            least=asked.min_price,
            most=asked.max_price,
            available=bool(asked.available),
            ids=tuple(dict.fromkeys(asked.id)),
        )
        caller_id = _caller_id(request)
        page = _measured(wish, asked, caller_id)
        if asked.q is None:
            return _answer(request, page)
        spelling = None
        if wish.words and not page.shown and page.cursor is None and asked.cursor is None:
            spelling = find_near_spelling(words=wish.words)
            if spelling is not None:
                page = _found(wish.saying(spelling), asked, caller_id)
                if page.shown:
                    searches_respelled.inc()
        return _answer(request, page, did_you_mean=spelling if page.shown else None)


class ProductsOfUser(Door):
    """`GET /users/{id}/products`."""

    queried = True

    def get(self, request: Request, user_id: UUID) -> HttpResponse:
        asked = query_of(Page, request)
        page = _newest(Wish(seller=user_id), asked, STORE, _caller_id(request))
        if not page.shown and not User.objects.in_good_standing().filter(pk=user_id).exists():
            raise NotFound
        return _answer(request, page)


class Feed(Door):
    """`GET /me/feed`."""

    queried = True

    def get(self, request: Request) -> HttpResponse:
        caller = signed_in(request)
        asked = query_of(Page, request)
        before: UUID | None = None if asked.cursor is None else decode_cursor(FEED, asked.cursor, UUID)
        found = find_followed(follower_id=caller.pk, before=before, limit=asked.limit)
        return _answer(request, _paged(found, FEED))


@dataclass(frozen=True, slots=True)
class _Page:
    shown: Sequence[bytes]
    cursor: str | None


def _measured(wish: Wish, asked: ProductQuery, caller_id: UUID | None) -> _Page:
    if wish == Wish():
        return _found(wish, asked, caller_id)
    kind = "filters" if wish.words is None else "relevance" if asked.sort == "relevance" else "words"
    began = time.perf_counter()
    page = _found(wish, asked, caller_id)
    search_seconds.labels(kind).observe(time.perf_counter() - began)
    if page.cursor is not None and len(page.shown) < asked.limit:
        searches_short.labels(kind).inc()
    return page


def _found(wish: Wish, asked: ProductQuery, caller_id: UUID | None) -> _Page:
    if asked.sort == "relevance" and wish.words is not None:
        after = None if asked.cursor is None else decode_cursor(BEST, asked.cursor, choosing.read_place)
        best, place = choosing.find_best(wish=wish, after=after, limit=asked.limit, caller_id=caller_id)
        return _Page(best.shown, None if place is None else encode_cursor(BEST, str(place)))
    before: UUID | None = None if asked.cursor is None else decode_cursor(LIST, asked.cursor, UUID)
    return _paged(choosing.find_newest(wish=wish, before=before, limit=asked.limit, caller_id=caller_id), LIST)


def _newest(wish: Wish, asked: Page, list_name: str, caller_id: UUID | None) -> _Page:
    before: UUID | None = None if asked.cursor is None else decode_cursor(list_name, asked.cursor, UUID)
    return _paged(find_newest(wish=wish, before=before, limit=asked.limit, caller_id=caller_id), list_name)


def _paged(found: Found, list_name: str) -> _Page:
    return _Page(found.shown, None if found.following is None else encode_cursor(list_name, found.following))


def _answer(request: Request, page: _Page, **more: str | None) -> HttpResponse:
    return link_next(request, answer_list(page.shown, page.cursor, **more), page.cursor)


def _caller_id(request: Request) -> UUID | None:
    caller_id: UUID | None = request.user.pk if request.user else None
    return caller_id
