"""The feed: what the followed have published, newest first, whether they are few or many, busy or long silent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from msgspec.json import decode

from souk.accounts.models import Follow, User
from souk.search.operations.finding import MANY_FOLLOWED, find_followed
from tests.api.long_catalogue import STOCKED
from tests.conftest import empty_tables

SELLERS, PRODUCTS = 80, 1_600
# Sellers publish in turn; the older half of the products is of the second half of the sellers.
FILL = """
    INSERT INTO catalog_product (id, created, updated, last_sequence, state, title, description, price_amount,
                                 price_currency, images, published_id, version, seller_id)
    SELECT id, now(), now(), 0, 'ACTIVE', 'Thing', '', n, 'EUR', '[]', id, 1,
           (%s::uuid[])[1 + n %% 40 + CASE WHEN n <= %s / 2 THEN 40 ELSE 0 END]
      FROM generate_series(1, %s) AS n,
           LATERAL (SELECT overlay(first_uuid(1700000000000 + n * 600000::bigint)::text placing lpad(to_hex(n), 12, '0')
                                   from 25 for 12)::uuid AS id) made
"""


@pytest.fixture(scope="module")
def busy_and_silent(django_db_setup: None, django_db_blocker: Any) -> Iterator[list[User]]:
    """Sellers, of whom the second half has not published for long."""
    with django_db_blocker.unblock():
        empty_tables()
        sellers = [User(username=f"seller-{number:02}") for number in range(SELLERS)]
        for seller in sellers:
            seller.save(force_insert=True)
        with connection.cursor() as cursor:
            cursor.execute(FILL, [[seller.pk for seller in sellers], PRODUCTS, PRODUCTS])
            cursor.execute(STOCKED)
        yield sellers
        empty_tables()
        connection.close()


@pytest.mark.parametrize(
    ("name", "first", "count"),
    [
        ("of-few", 0, 3),
        ("of-few-silent", 60, 3),
        ("of-many", 10, MANY_FOLLOWED + 10),
        ("of-many-silent", 39, 41),
        ("of-all", 0, SELLERS),
        ("of-nobody", 0, 0),
    ],
)
def test_the_pages_of_a_feed_are_those_of_a_scan(
    name: str, first: int, count: int, busy_and_silent: list[User], django_db_blocker: Any
) -> None:
    with django_db_blocker.unblock():
        follower = User(username=name)
        follower.save(force_insert=True)
        # Long silent: the walk over the newest finds hardly anything, and fifty are enough for it to be tried.
        followed = [*busy_and_silent[first : first + count], *(silent(count) if "many-silent" in name else ())]
        for seller in followed:
            Follow(follower=follower, followed=seller).save(force_insert=True)
        met: list[UUID] = []
        before = None
        while True:
            page = find_followed(follower_id=follower.pk, before=before, limit=30)
            assert len(page.shown) == 30 or page.following is None
            met += [UUID(decode(one)["id"]) for one in page.shown]
            if (before := page.following) is None:
                break
        assert met == scanned(followed)


def silent(count: int) -> list[User]:
    """Users who have never published, so many that there are enough to be called many."""
    users = [User(username=f"silent-{number:02}") for number in range(max(MANY_FOLLOWED - count, 0))]
    for user in users:
        user.save(force_insert=True)
    return users


def scanned(followed: list[User]) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(array_agg(id ORDER BY published_id DESC), '{}') FROM catalog_product"
            " WHERE seller_id = ANY (%s)",
            [[one.pk for one in followed]],
        )
        (ids,) = cursor.fetchone()
        return list(ids)
