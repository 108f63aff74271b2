"""Searching far back: what no short walk finds comes from the index, at once or span by span, and within a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from msgspec.json import decode

from souk.accounts.models import User
from souk.catalog.operations.showing import LAST
from souk.search.operations.finding import Wish, find_newest
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


@pytest.fixture(scope="module")
def long_catalogue(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
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
def test_the_copied_statistics_tell_how_common_words_are(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT share_of($$'often'$$), share_of($$'often' & 'former'$$), share_of($$'ancient' & !'often'$$),"
            " share_of($$'ancient' | 'often'$$), share_of($$'nowher'$$), steps_before(1700000000000),"
            " steps_before(1700000000000 + 18000 * 600000::bigint) / steps_before(1900000000000)"
        )
        often, both, negated, either, unknown, before, middle = cursor.fetchone()
        assert (round(often, 2), round(both, 2), round(either, 2)) == (0.33, 0.22, 0.34)
        assert negated == pytest.approx(300 / 36_000, rel=0.2)
        assert 0 < unknown < 0.001
        assert (before, round(middle, 2)) == (None, 0.5)
        copy_statistics()  # autovacuum may have analysed meanwhile
        assert not copy_statistics()


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
@pytest.mark.parametrize(
    ("candidates", "matches"), [(0, 0), (4_000, 0), (4_000, 3_000), (50_000, 50_000), (1_000_000, 3)]
)
@pytest.mark.parametrize(
    "words", ["often", "former", "ancient", "seldom former", "often former thing", "nowhere often", '"often former"']
)
def test_whatever_is_reckoned_the_spans_hold_what_a_scan_finds(
    words: str, candidates: int, matches: int, django_db_blocker: Any
) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        edge: UUID | None = LAST
        met: list[UUID] = []
        while edge is not None and len(met) < 300:
            cursor.execute(
                "SELECT keys, edge FROM reckoned(websearch_to_tsquery('souk_question', %s)) asked,"
                " look_up_by_spans(asked.parts, %s, %s, %s, 300, NULL, NULL, NULL, false, '1 minute', NULL)",
                [words, candidates, matches, edge],
            )
            keys, edge = cursor.fetchone()
            met += keys
        # A look that found more than was wanted gives the newest of it: what is older than these may be left out.
        expected = naive(words, None, PRODUCTS)
        assert met[:300] == expected[:300]


@pytest.mark.usefixtures("long_catalogue")
def test_a_first_page_ends_by_what_it_went_through_and_not_by_the_clock(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        # A third of the products each, none together: 12,000 candidates, of which a millisecond is allowed a sixth.
        wish = Wish(words="often -thing former")
        first, again = (find_newest(wish=wish, before=None, limit=20, budget="1 ms") for _ in range(2))
        assert (first.shown, first.following) == ([], again.following)
        assert first.following is not None
        whole = find_newest(wish=wish, before=None, limit=20, budget="1 minute")
        assert (whole.shown, whole.following) == ([], None)
        rest = find_newest(wish=wish, before=first.following, limit=20, budget="1 minute")
        assert (rest.shown, rest.following) == ([], None)


@pytest.mark.usefixtures("long_catalogue")
@pytest.mark.parametrize(
    ("parts", "newest"), [(["'former'"], 24_000), (["'often'", "'former'"], 24_000), (["'ancient'"], 300)]
)
def test_a_leap_ends_where_the_missing_part_begins(parts: list[str], newest: int, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        last, begins = (1_700_000_000_000 + number * 600_000 for number in (PRODUCTS, newest))
        cursor.execute("SELECT leap_to(%s::tsquery[], %s, %s, 5)", [parts, last, last - 1_000_000_000])
        (near,) = cursor.fetchone()
        # Two spans of the size that holds five thousandths of the products.
        assert begins <= near < begins + 2 * 2**28
        cursor.execute("SELECT leap_to(%s::tsquery[], %s, %s, 5)", [["'thing'"], last, last - 1_000_000_000])
        assert cursor.fetchone() == (last - 1_000_000_000,)


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
def test_a_page_that_is_empty_at_the_end_of_the_budget_goes_on_further_down(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        # So much more than was reckoned that the first look finds too much, and the budget is over.
        cursor.execute(
            "SELECT edge < %s FROM reckoned($$'thing'$$) asked,"
            " look_up_by_spans(asked.parts, 6000, 6000, %s, 20, NULL, NULL, NULL, false, '0', NULL)",
            [LAST, LAST],
        )
        assert cursor.fetchone() == (True,)


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


@pytest.mark.usefixtures("long_catalogue")
@pytest.mark.parametrize(
    ("query", "parts", "share", "candidates"),
    [
        ("'often'", ["'often'"], 0.33, 0.33),
        ("'former' & 'often'", ["'often'", "'former'"], 0.22, 0.33),
        ("'often' | 'former'", ["'often' | 'former'"], 1, 1),
        ("'former' & ( 'often' | 'thing' )", ["'former'", "'often' | 'thing'"], 0.67, 0.67),
        ("'former' & !'often' & !( 'thing' & 'a' )", ["'former' & !'often' & !( 'thing' & 'a' )"], 0.67, 0.67),
        ("'often' <-> 'former'", ["'often' <-> 'former'"], 0.22, 0.33 + 20 * 0.22),
        ("'often' <-> ( 'former' | 'thing' )", ["'often' <-> ( 'former' | 'thing' )"], 1, 1 + 20 * 0.22),
        ("'thing' & 'a' & 'often' & 'b' & 'thing' & !'x'", ["'a'", "'b'", "'often'", "'thing' & !'x'"], 0, 0),
    ],
)  # fmt: skip
def test_a_question_is_reckoned_by_its_rarest_part(
    query: str, parts: list[str], share: float, candidates: float, django_db_blocker: Any
) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("SELECT parts::text[], share, candidates FROM reckoned(%s::tsquery)", [query])
        told, matching, through = cursor.fetchone()
        assert told == parts
        assert (matching, through) == (
            pytest.approx(share, rel=0.1, abs=1e-4),
            pytest.approx(candidates, rel=0.1, abs=1e-4),
        )
