"""The doors behind which everybody finds products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from souk.accounts.authentication import signed_in
from souk.accounts.models import User
from souk.catalog.serializers import ProductsOut
from souk.kit.cursor import decode_cursor, encode_cursor, link_next
from souk.kit.door import Door, answer
from souk.kit.parsing import Page, query_of
from souk.kit.problem import NotFound
from souk.search.operations.finding import Found, Place, Row, Wish, find_best, find_followed, find_newest
from souk.search.operations.spelling import find_near_spelling
from souk.search.serializers import FoundOut, ProductQuery, listed_out

LIST, BEST, STORE, FEED = "products", "products by relevance", "users/products", "me/feed"


class Products(Door):
    """`GET /products`."""

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
        page = _found(wish, asked)
        if asked.q is None:
            return _answer(request, page)
        spelling = None
        if wish.words and not page.rows and page.cursor is None and asked.cursor is None:
            spelling = find_near_spelling(words=wish.words)
            if spelling is not None:
                page = _found(wish.saying(spelling), asked)
        return _answer(request, page, spelling=spelling if page.rows else None, searched=True)


class ProductsOfUser(Door):
    """`GET /users/{id}/products`."""

    def get(self, request: Request, user_id: UUID) -> HttpResponse:
        asked = query_of(Page, request)
        page = _newest(Wish(seller=user_id), asked, STORE)
        if not page.rows and not User.objects.in_good_standing().filter(pk=user_id).exists():
            raise NotFound
        return _answer(request, page)


class Feed(Door):
    """`GET /me/feed`."""

    def get(self, request: Request) -> HttpResponse:
        caller = signed_in(request)
        asked = query_of(Page, request)
        before: UUID | None = None if asked.cursor is None else decode_cursor(FEED, asked.cursor, UUID)
        found = find_followed(follower_id=caller.pk, before=before, limit=asked.limit)
        return _answer(request, _paged(found, FEED))


@dataclass(frozen=True, slots=True)
class _Page:
    rows: Sequence[Row]
    cursor: str | None


def _found(wish: Wish, asked: ProductQuery) -> _Page:
    if asked.sort == "relevance" and wish.words is not None:
        after: Place | None = None if asked.cursor is None else decode_cursor(BEST, asked.cursor, Place.read)
        best, place = find_best(wish=wish, after=after, limit=asked.limit)
        return _Page(best.rows, None if place is None else encode_cursor(BEST, str(place)))
    return _newest(wish, asked, LIST)


def _newest(wish: Wish, asked: Page, list_name: str) -> _Page:
    before: UUID | None = None if asked.cursor is None else decode_cursor(list_name, asked.cursor, UUID)
    return _paged(find_newest(wish=wish, before=before, limit=asked.limit), list_name)


def _paged(found: Found, list_name: str) -> _Page:
    return _Page(found.rows, None if found.following is None else encode_cursor(list_name, found.following))


def _answer(request: Request, page: _Page, *, spelling: str | None = None, searched: bool = False) -> HttpResponse:
    caller_id = request.user.pk if request.user else None
    results = [listed_out(row, caller_id) for row in page.rows]
    if searched:
        out: ProductsOut | FoundOut = FoundOut(results=results, next=page.cursor, did_you_mean=spelling)
    else:
        out = ProductsOut(results=results, next=page.cursor)
    return link_next(request, answer(out), page.cursor)
