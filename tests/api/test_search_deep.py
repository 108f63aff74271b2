"""Searching far back: what no short walk finds comes from the index, at once or span by span, and within a budget."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from msgspec.json import decode

from souk.accounts.models import User
from souk.search.operations.finding import Wish, find_newest
from tests.api.long_catalogue import FILL, PRODUCTS, STOCKED, naive, places


@pytest.mark.usefixtures("long_catalogue")
@pytest.mark.parametrize(
    "words",
    [
        "thing", "often", "seldom", "ancient", "former", "seldom former", "often ancient", "often -former",
        "former -often", "ancient or seldom", "-thing", "-former", "nowhere", '"often former"', '"former often"',
        "often thing former", "often thing former ancient", "thing often former ancient old -nowhere",
        "thing -ancient -often", 'seldom -"often former"', "thing (often or seldom) former", '--"often former" thing',
        'often -"example.com:8080" or seldom', "-nowhere often former or ancient seldom",
        "_".join(f"w{number}" for number in range(80)),
    ],
)  # fmt: skip
def test_the_first_pages_are_those_of_a_scan(words: str, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        before = None
        for _ in range(3):
            page = find_newest(wish=Wish(words=words), before=before, limit=20, budget="1 minute")
            expected = naive(words, before, 21)
            assert places(page.shown) == expected[:20]
            assert (page.following is None) == (len(expected) <= 20)
            before = page.following
            if before is None:
                break


@pytest.mark.usefixtures("long_catalogue")
@pytest.mark.parametrize("name", ["old-hand", "young-hand"])
@pytest.mark.parametrize(
    "words",
    ["thing", "seldom", "ancient", "former", "often former", "often or ancient", "-former", "nowhere", "-thing"],
)
@pytest.mark.parametrize("budget", ["1 minute", "0"])
def test_the_pages_of_one_seller_are_those_of_a_scan(
    name: str, words: str, budget: str, django_db_blocker: Any
) -> None:
    with django_db_blocker.unblock():
        seller = User.objects.get(username=name).pk
        met: list[UUID] = []
        before = None
        while len(met) < 100:
            page = find_newest(wish=Wish(words=words, seller=seller), before=before, limit=30, budget=budget)
            met += places(page.shown)
            if budget != "0":
                assert len(page.shown) == 30 or page.following is None
            before = page.following
            if before is None:
                break
        assert met[:100] == naive(words, None, PRODUCTS, seller)[:100]


@pytest.mark.usefixtures("long_catalogue")
def test_one_seller_is_walked_over_only_where_no_other_may_be_found(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        one = "'#s:0199a1b2-0000-7000-8000-000000000001'"
        for question, is_known in (
            (one, True),
            (f"'often' & {one}", True),
            (f"('often' | 'seldom') & {one} & ('#p:1' | '#p:2')", True),
            (f"'often' <-> 'seldom' & {one}", True),
            (f"'often' | {one}", False),
            (f"!{one}", False),
            (f"'often' & !{one}", False),
            (f"'often' & ({one} | 'seldom')", False),
            (f"!('often' & {one})", False),
            ("'often'", False),
        ):
            cursor.execute("SELECT seller_asked(%s::tsquery)::text", [question])
            assert cursor.fetchone() == (one[4:-1] if is_known else None,), question


@pytest.mark.usefixtures("long_catalogue")
@pytest.mark.parametrize("words", ["often ancient", "former", "-thing", "seldom", '"former often"'])
def test_a_budget_that_ends_gives_short_pages_that_miss_nothing(words: str, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        met: list[UUID] = []
        before, pages = None, 0
        while True:
            page = find_newest(wish=Wish(words=words), before=before, limit=100, budget="0")
            met += places(page.shown)
            pages += 1
            before = page.following
            if before is None or len(met) >= 300:
                break
        expected = naive(words, None, PRODUCTS)
        assert met[:300] == expected[:300]
        assert pages >= len(met) // 100
        if words == "-thing":
            assert pages > 10


@pytest.mark.usefixtures("long_catalogue")
def test_a_rare_price_of_a_common_word_is_one_look_into_the_index(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        wish = Wish(words="often", currency="EUR", least=298, most=306)
        page = find_newest(wish=wish, before=None, limit=20, budget="0")
        assert ([one["price"]["amount"] for one in map(decode, page.shown)], page.following) == ([306, 303, 300], None)


@pytest.mark.usefixtures("long_catalogue")
def test_without_statistics_everything_is_found_all_the_same(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("BEGIN; DELETE FROM search_share; DELETE FROM search_step; DELETE FROM search_copied")
        try:
            for words in ("ancient", "former", "often ancient"):
                page = find_newest(wish=Wish(words=words), before=None, limit=20, budget="1 minute")
                assert places(page.shown) == naive(words, None, 20)
        finally:
            cursor.execute("ROLLBACK")


@pytest.mark.usefixtures("long_catalogue")
@pytest.mark.parametrize("words", ["-former or -often", "nowhere or -former", '-"often former" or -ancient', "former"])
def test_what_is_refused_in_brackets_is_refused_beside_a_price_too(words: str, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        before: UUID | None = None
        met: list[UUID] = []
        while len(met) < 200:
            wish = Wish(words=words, currency="EUR", least=100, most=29_000)
            page = find_newest(wish=wish, before=before, limit=100, budget="0")
            met += places(page.shown)
            if (before := page.following) is None:
                break
        every = [one for one in naive(words, None, PRODUCTS) if 100 <= int(str(one)[-12:], 16) <= 29_000]
        assert met[:200] == every[:200]


@pytest.mark.usefixtures("long_catalogue")
def test_of_what_is_believed_rare_no_more_is_fetched_than_of_anything_else(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            # The statistics are of before: a third of the products has the word now, and none is to be had.
            cursor.execute("UPDATE search_share SET share = 0.0001")
            page = find_newest(wish=Wish(words="often", available=True), before=None, limit=20, budget="0")
            assert (len(page.shown), page.following is not None) == (0, True)
            page = find_newest(wish=Wish(words="often"), before=None, limit=20, budget="1 minute")
            assert places(page.shown) == naive("often", None, 20)
        finally:
            cursor.execute("ROLLBACK")


@pytest.mark.usefixtures("long_catalogue")
@pytest.mark.parametrize("analysed", [True, False])
def test_more_than_a_look_takes_may_be_published_in_one_moment(analysed: bool, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("BEGIN")
        if not analysed:
            cursor.execute("DELETE FROM search_share; DELETE FROM search_step; DELETE FROM search_copied")
        try:
            at_once = FILL.replace("n * 600000::bigint", "40000 * 600000::bigint + n %% 4")
            cursor.execute(at_once, [2 * [User.objects.get(username="old-hand").pk], PRODUCTS + 1, PRODUCTS + 4_000])
            cursor.execute(STOCKED)
            for words in ("often", "seldom", "often -former", "ancient"):
                page = find_newest(wish=Wish(words=words), before=None, limit=20, budget="1 minute")
                before = naive(words, None, 20)[-1]
                assert places(page.shown) == naive(words, None, 20)
                further = find_newest(wish=Wish(words=words), before=before, limit=20, budget="1 minute")
                assert places(further.shown) == naive(words, before, 20)
        finally:
            cursor.execute("ROLLBACK")
