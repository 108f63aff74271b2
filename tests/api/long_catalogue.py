"""A catalogue of years, whose words are common, rare, of old or long gone, and what a scan of it finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from django.db import connection
from msgspec.json import decode

from souk.accounts.models import User
from souk.search.operations.statistics import copy_statistics
from tests.conftest import empty_tables

PRODUCTS, AT_ONCE = 36_000, 3_000
# One product in ten minutes. Words: a third has `often`, one in 400 `seldom`, the oldest 300 `ancient`, all but the
# newest third `former`. One in 700 is of a second seller.
FILL = """
    INSERT INTO catalog_product (id, created, updated, last_sequence, state, title, description, price_amount,
                                 price_currency, images, published_id, version, seller_id)
    SELECT id, now(), now(), 0, 'ACTIVE', 'Thing', words, n, 'EUR', '[]', id, 1,
           (%s::uuid[])[1 + (n %% 700 = 0)::integer]
      FROM generate_series(%s, %s) AS n,
           LATERAL (SELECT overlay(first_uuid(1700000000000 + n * 600000::bigint)::text placing lpad(to_hex(n), 12, '0')
                                   from 25 for 12)::uuid AS id,
                           concat_ws(' ', CASE WHEN n %% 3 = 0 THEN 'often' END,
                                     CASE WHEN n %% 400 = 0 THEN 'seldom' END,
                                     CASE WHEN n <= 300 THEN 'ancient' END,
                                     CASE WHEN n <= 24000 THEN 'former' END) AS words) made
"""
STOCKED = """
    INSERT INTO stock_stock (product_id, owner_id, on_hand, for_sale)
    SELECT id, seller_id, 0, true FROM catalog_product ON CONFLICT DO NOTHING
"""


@contextmanager
def filled() -> Iterator[None]:
    """The catalogue is there, analysed, until the block ends."""
    empty_tables()
    sellers = [User(username="old-hand"), User(username="young-hand")]
    for seller in sellers:
        seller.save(force_insert=True)
    with connection.cursor() as cursor:
        for first in range(1, PRODUCTS + 1, AT_ONCE):
            cursor.execute(FILL, [[seller.pk for seller in sellers], first, first + AT_ONCE - 1])
        cursor.execute(STOCKED)
        cursor.execute("ANALYZE search_product")
    assert copy_statistics()
    yield
    empty_tables()
    connection.close()


def places(shown: Sequence[bytes]) -> list[UUID]:
    """The published_id of products as they are shown: here it is their id."""
    return [UUID(decode(one)["id"]) for one in shown]


def naive(words: str, before: UUID | None, limit: int, seller: UUID | None = None) -> list[UUID]:
    """What a scan of every document finds."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(published_id) FROM (SELECT published_id FROM search_product"
            " WHERE document @@ websearch_to_tsquery('souk_question', %s) AND (%s::uuid IS NULL OR published_id < %s)"
            " AND (%s::uuid IS NULL OR seller_id = %s) ORDER BY published_id DESC LIMIT %s) found",
            [words, before, before, seller, seller, limit],
        )
        (ids,) = cursor.fetchone()
        return ids or []
