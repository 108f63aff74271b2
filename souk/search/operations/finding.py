"""Finding products: newest first or best first, in one statement each.

The statements are prepared with a generic plan on purpose: what depends on the words is decided inside the SQL
functions (`find_newest`), by the planner's own expectation, and not by which plan happens to be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any
from uuid import UUID

from souk.catalog.machine import ACTIVE
from souk.catalog.operations.showing import LAST, product_json
from souk.kit.postgresql.prepared import prepared_texts, with_limit

BUDGET = "25 ms"
CANDIDATES = 500
# From so many on, a walk over the newest of all costs less than a look for each.
MANY_FOLLOWED = 50
LISTED = product_json(tags="d.tag_names", states=(ACTIVE,))
# Everything, newest first. The list that everybody sees first needs no function.
NEWEST = f"""
    SELECT d.published_id, {LISTED}
      FROM (SELECT product_id, published_id, seller_id, tag_names FROM search_product
             WHERE published_id < %(before)s ORDER BY published_id DESC) d
      JOIN catalog_product p ON p.id = d.product_id
      JOIN accounts_user u ON u.id = d.seller_id AND u.is_active AND u.deleted IS NULL
      JOIN stock_stock s ON s.product_id = d.product_id
     ORDER BY d.published_id DESC
     LIMIT {{limit}}
"""  # noqa: S608  # made of this module's constants
OF_SELLER = NEWEST.replace("WHERE published_id <", "WHERE seller_id = %(seller)s AND published_id <")
# Who follows many finds a page among the newest of all. Otherwise: of the followed only those whose newest product is
# among the newest can fill the page, one look at an index for each of the others.
OF_FOLLOWED = f"""
    WITH followed AS MATERIALIZED (
        SELECT f.followed_id
          FROM accounts_follow f JOIN accounts_user u ON u.id = f.followed_id AND u.is_active AND u.deleted IS NULL
         WHERE f.follower_id = %(follower)s AND f.deleted IS NULL
    ), walked AS MATERIALIZED (
        SELECT s.product_id, s.published_id, s.seller_id, s.tag_names
          FROM (SELECT product_id, published_id, seller_id, tag_names FROM search_product
                 WHERE published_id < %(before)s AND (SELECT count(*) FROM followed) >= {MANY_FOLLOWED}
                 ORDER BY published_id DESC LIMIT 500) s
         WHERE s.seller_id IN (SELECT followed_id FROM followed)
         ORDER BY s.published_id DESC LIMIT {{limit}}
    ), heads AS MATERIALIZED (
        SELECT followed_id, (
                   SELECT s.published_id FROM search_product s
                    WHERE s.seller_id = followed_id AND s.published_id < %(before)s
                    ORDER BY s.published_id DESC LIMIT 1) AS head
          FROM followed WHERE (SELECT count(*) FROM walked) < {{limit}}
    ), ahead AS (
        SELECT followed_id FROM heads WHERE head IS NOT NULL ORDER BY head DESC LIMIT {{limit}}
    ), d AS (
        SELECT * FROM walked WHERE (SELECT count(*) FROM walked) = {{limit}}
        UNION ALL
        (SELECT s.* FROM ahead CROSS JOIN LATERAL (
                    SELECT product_id, published_id, seller_id, tag_names FROM search_product
                     WHERE seller_id = ahead.followed_id AND published_id < %(before)s
                     ORDER BY published_id DESC LIMIT {{limit}}) s
          ORDER BY s.published_id DESC LIMIT {{limit}})
    )
    SELECT d.published_id, {LISTED}
      FROM d
      JOIN catalog_product p ON p.id = d.product_id
      JOIN accounts_user u ON u.id = d.seller_id
      JOIN stock_stock s ON s.product_id = d.product_id
     ORDER BY d.published_id DESC
"""  # noqa: S608  # made of this module's constants
ASKED = "asked_query(%(words)s, %(tags)s::text[], %(seller)s, %(currency)s, %(least)s, %(most)s) AS asked"
FILTERS = "%(currency)s, %(least)s, %(most)s, %(available)s::boolean"
JOINED = """
      LEFT JOIN LATERAL unnest(found.ids) WITH ORDINALITY AS hit (id, place) ON true
      LEFT JOIN search_product d ON d.product_id = hit.id
      LEFT JOIN catalog_product p ON p.id = hit.id
      LEFT JOIN accounts_user u ON u.id = p.seller_id
      LEFT JOIN stock_stock s ON s.product_id = hit.id
     WHERE NOT asked.nothing
     ORDER BY hit.place
"""
FOUND = f"""
    SELECT found.following, CASE WHEN d.product_id IS NOT NULL THEN {LISTED} END
      FROM {ASKED} CROSS JOIN LATERAL
           find_newest(asked.query, %(before)s, %(limit)s, {FILTERS}, %(budget)s::interval) AS found
      {JOINED}
"""  # noqa: S608  # made of this module's constants
BEST = f"""
    SELECT found.following, CASE WHEN d.product_id IS NOT NULL THEN {LISTED} END, found.scores[hit.place]
      FROM {ASKED} CROSS JOIN LATERAL
           find_best(%(words)s, asked.query, asked.any_query, %(score)s::float8, %(before)s, %(limit)s, {FILTERS},
                     %(candidates)s, %(budget)s::interval) AS found
      {JOINED}
"""  # noqa: S608  # made of this module's constants
NAMED = f"""
    SELECT d.published_id, {LISTED}
      FROM {ASKED} CROSS JOIN search_product d
      JOIN catalog_product p ON p.id = d.product_id
      JOIN accounts_user u ON u.id = d.seller_id AND u.is_active AND u.deleted IS NULL
      JOIN stock_stock s ON s.product_id = d.product_id
     WHERE d.product_id = ANY (%(ids)s::uuid[]) AND NOT asked.nothing
       AND (asked.query IS NULL OR d.document @@ asked.query)
       AND (%(currency)s::text IS NULL OR d.price_currency = %(currency)s)
       AND (%(least)s::bigint IS NULL OR d.price_amount >= %(least)s)
       AND (%(most)s::bigint IS NULL OR d.price_amount <= %(most)s)
       AND (NOT %(available)s::boolean OR s.on_hand > s.reserved)
       AND d.published_id < %(before)s
     ORDER BY d.published_id DESC
     LIMIT {{limit}}
"""  # noqa: S608  # made of this module's constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What products are asked for. Prices are in minor units of `currency`; everything given must hold."""

    words: str | None = None
    tags: tuple[str, ...] = ()
    seller: UUID | None = None
    currency: str | None = None
    least: int | None = None
    most: int | None = None
    available: bool = False
    ids: tuple[UUID, ...] = ()

    def saying(self, words: str) -> Wish:
        """The same with other words."""
        return replace(self, words=words)


@dataclass(frozen=True, slots=True)
class Found:
    """Products as JSON, and the published_id below which to go on (None: nothing is left)."""

    shown: Sequence[bytes]
    following: UUID | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a product stands among the best."""

    score: float
    published_id: UUID

    def __str__(self) -> str:
        return f"{self.score!r} {self.published_id}"

    @classmethod
    def read(cls, text: str) -> Place:
        """The place that `str` wrote. Raises ValueError."""
        score, _, published_id = text.partition(" ")
        if not isfinite(float(score)):
            raise ValueError("a score is a number")
        return cls(float(score), UUID(published_id))


def find_newest(
    *, wish: Wish, before: UUID | None, limit: int, caller_id: UUID | None = None, budget: str = BUDGET
) -> Found:
    """The newest products that match, published before `before`, as this caller may see them.

    At most `limit`; fewer, even none, with more to follow, when the budget of time ends first.
    """
    parameters = _parameters(wish, before or LAST, limit, caller_id)
    if wish == Wish():
        return _first(prepared_texts(with_limit(NEWEST, limit + 1), parameters), limit)
    if wish == Wish(seller=wish.seller):
        return _first(prepared_texts(with_limit(OF_SELLER, limit + 1), parameters), limit)
    if wish.ids:
        return _first(prepared_texts(with_limit(NAMED, limit + 1), parameters), limit)
    return _found(prepared_texts(FOUND, {**parameters, "budget": budget}))


def find_followed(*, follower_id: UUID, before: UUID | None, limit: int) -> Found:
    """The newest products of those whom the user follows, published before `before`."""
    parameters = {"follower": follower_id, "caller_id": follower_id, "before": before or LAST}
    return _first(prepared_texts(with_limit(OF_FOLLOWED, limit + 1), parameters), limit)


def find_best(
    *, wish: Wish, after: Place | None, limit: int, caller_id: UUID | None = None, budget: str = BUDGET
) -> tuple[Found, Place | None]:
    """The products that fit the words best, after a place, and the place of the last one when more follow.

    Rated are the newest 500 that have every word and, when they are fewer, the newest 500 that have one of them:
    the time does not depend on how common the words are. `wish.words` must be given.
    """
    parameters = {
        **_parameters(wish, None if after is None else after.published_id, limit, caller_id),
        "score": None if after is None else after.score,
        "candidates": CANDIDATES,
        "budget": budget,
    }
    rows = prepared_texts(BEST, parameters)
    found = _found(rows)
    if found.following is None:
        return found, None
    score = [score for _, shown, score in rows if shown is not None][-1]
    return found, Place(float(score or b"0"), found.following)


def _parameters(wish: Wish, before: UUID | None, limit: int, caller_id: UUID | None) -> dict[str, Any]:
    return {
        "words": wish.words,
        "tags": list(wish.tags),
        "seller": wish.seller,
        "currency": wish.currency,
        "least": wish.least,
        "most": wish.most,
        "available": wish.available,
        "ids": list(wish.ids),
        "before": before,
        "limit": limit,
        "caller_id": caller_id,
    }


def _first(rows: Sequence[Sequence[bytes | None]], limit: int) -> Found:
    """A page of rows that were read with one more than `limit`."""
    shown = [one or b"" for _, one in rows[:limit]]
    return Found(shown, _id(rows[limit - 1][0]) if len(rows) > limit else None)


def _found(rows: Sequence[Sequence[bytes | None]]) -> Found:
    return Found([row[1] for row in rows if row[1] is not None], _id(rows[0][0]) if rows else None)


def _id(text: bytes | None) -> UUID | None:
    return None if text is None else UUID(text.decode())
