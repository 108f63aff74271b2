"""Finding products through the search server: it says which, PostgreSQL says what they are now.

So nothing is shown as available, or at a price, that it is not any more: what the server knows late makes a page short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from uuid import UUID

from souk.kit.postgresql.prepared import prepared_texts
from souk.search.gateway import Hit, search
from souk.search.operations.asking import filters_of, milliseconds_of, must_match, read_question, should_match
from souk.search.operations.finding import LISTED, Found, Wish

NEWEST_FIRST = [{"published": "desc"}, {"published_id": "desc"}]
BEST_FIRST = [{"_score": "desc"}, *NEWEST_FIRST]
MOST_SEEN = 10_000
SHOWN = f"""
    SELECT {LISTED}
      FROM unnest(%(hits)s::uuid[]) WITH ORDINALITY AS hit (published_id, place)
      JOIN search_product d USING (published_id)
      JOIN catalog_product p ON p.id = d.product_id
      JOIN accounts_user u ON u.id = p.seller_id AND u.is_active AND u.deleted IS NULL
      JOIN stock_stock s ON s.product_id = d.product_id
     WHERE d.tag_names @> %(tags)s::varchar[] AND (%(seller)s::uuid IS NULL OR d.seller_id = %(seller)s)
       AND (%(currency)s::text IS NULL OR d.price_currency = %(currency)s)
       AND (%(least)s::bigint IS NULL OR d.price_amount >= %(least)s)
       AND (%(most)s::bigint IS NULL OR d.price_amount <= %(most)s)
       AND (NOT %(available)s::boolean OR s.on_hand > s.reserved)
     ORDER BY hit.place
"""  # noqa: S608  # made of this module's constants


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """Where a product stands among the server's best; its scores are not PostgreSQL's. `seen` products came before."""

    score: float
    published_id: UUID
    seen: int

    def __str__(self) -> str:
        return f"server {self.score!r} {self.published_id} {self.seen}"

    @classmethod
    def read(cls, text: str) -> ServerPlace:
        """The place that `str` wrote. Raises ValueError."""
        _, score, published_id, seen = text.split(" ")
        if not isfinite(float(score)) or not 0 < int(seen) < MOST_SEEN:
            raise ValueError("no place is like that")
        return cls(float(score), UUID(published_id), int(seen))


def find_newest(*, wish: Wish, before: UUID | None, limit: int, caller_id: UUID | None) -> Found:
    """The newest products that match, published before `before`. Raises SearchAway."""
    filters: list[Any] = filters_of(wish)
    if wish.words is not None:
        asked = read_question(wish.words)
        if not asked:
            return Found((), None)
        filters.append(must_match(asked))
    body = _body(filters, limit)
    if before is not None:
        moment = milliseconds_of(before)
        filters.append({"range": {"published": {"lte": moment}}})
        body["search_after"] = [moment, str(before)]
    hits = search({**body, "sort": NEWEST_FIRST})
    return _found(hits, wish, limit, caller_id)


def find_best(
    *, wish: Wish, after: ServerPlace | None, limit: int, caller_id: UUID | None
) -> tuple[Found, ServerPlace | None]:
    """The products that fit the words best, after a place, and the place of the last one when more follow.

    Raises SearchAway.
    """
    asked = read_question(wish.words or "")
    if not asked:
        return Found((), None), None
    body = _body(filters_of(wish), limit)
    body["query"]["bool"]["must"] = [should_match(asked)]
    if after is not None:
        body["search_after"] = [after.score, milliseconds_of(after.published_id), str(after.published_id)]
    hits = search({**body, "sort": BEST_FIRST})
    found = _found(hits, wish, limit, caller_id)
    if found.following is None:
        return found, None
    seen = limit + (0 if after is None else after.seen)
    return found, ServerPlace(float(hits[limit - 1][0]), found.following, min(seen, MOST_SEEN - 1))


def _body(filters: list[Any], limit: int) -> dict[str, Any]:
    return {"size": limit + 1, "query": {"bool": {"filter": filters}}, "track_total_hits": False}


def _found(hits: Sequence[Hit], wish: Wish, limit: int, caller_id: UUID | None) -> Found:
    page = hits[:limit]
    following = UUID(page[-1][-1]) if len(hits) > limit else None
    if not page:
        return Found((), None)
    parameters = {
        # Written here: psycopg asks of each element how it is to be written.
        "hits": "{" + ",".join([str(hit[-1]) for hit in page]) + "}",
        "tags": list(wish.tags),
        "seller": wish.seller,
        "currency": wish.currency,
        "least": wish.least,
        "most": wish.most,
        "available": wish.available,
        "caller_id": caller_id,
    }
    return Found([shown or b"" for (shown,) in prepared_texts(SHOWN, parameters)], following)
