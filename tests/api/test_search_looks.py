"""How far a look into the index goes, when it leaps, and what it is reckoned by."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from souk.catalog.operations.showing import LAST
from souk.search.operations.finding import Wish, find_newest
from souk.search.operations.statistics import copy_statistics
from tests.api.long_catalogue import PRODUCTS, naive


@pytest.mark.usefixtures("long_catalogue")
def test_the_copied_statistics_tell_how_common_words_are(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT share_of($$'often'$$), share_of($$'often' & 'former'$$), share_of($$'ancient' & !'often'$$),"
            " share_of($$'ancient' | 'often'$$), share_of($$'nowher'$$), steps_before(1700000000000),"
            " steps_before(1700000000000 + 18000 * 600000::bigint)"
            " / steps_before(1700000000000 + 36000 * 600000::bigint)"
        )
        often, both, negated, either, unknown, before, middle = cursor.fetchone()
        assert (round(often, 2), round(both, 2), round(either, 2)) == (0.33, 0.22, 0.34)
        assert negated == pytest.approx(300 / 36_000, rel=0.2)
        assert 0 < unknown < 0.001
        assert (before, round(middle, 2)) == (None, 0.5)
        copy_statistics()  # autovacuum may have analysed meanwhile
        assert not copy_statistics()


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
def test_a_leap_ends_where_the_missing_word_begins(django_db_blocker: Any) -> None:
    last, former = (1_700_000_000_000 + number * 600_000 for number in (PRODUCTS, 24_000))
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for parts, begins in (
            (["'former'"], former),
            (["'often'", "'former'"], former),
            # What is everywhere is not missing, and of what is no word nobody knows.
            (["'thing'"], None),
            (["'nowher'"], None),
            (["'often' <-> 'former'"], None),
            (["'thing' & !'thing'"], None),
        ):
            cursor.execute("SELECT leap_to(%s::tsquery[], %s, %s)", [parts, last, last - 1_000_000_000])
            (near,) = cursor.fetchone()
            assert near is None if begins is None else begins <= near < begins + 2 * 2**28, parts


@pytest.mark.usefixtures("long_catalogue")
def test_a_further_page_looks_as_far_at_once_as_pays(django_db_blocker: Any) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT steps_before(uuid_milliseconds(edge)) / (SELECT max(place) FROM search_step) FROM"
            " look_up_by_spans(ARRAY['nowher', 'often']::tsquery[], 50000, 3, %s, 20, NULL, NULL, NULL, false, '0',"
            " NULL)",
            [LAST],
        )
        assert cursor.fetchone()[0] < 0.9


@pytest.mark.usefixtures("long_catalogue")
def test_what_is_newer_than_the_statistics_is_reckoned_by_its_time(django_db_blocker: Any) -> None:
    last = 1_700_000_000_000 + PRODUCTS * 600_000
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT steps_before(%s) / max(place), steps_before(%s) / max(place), steps_before(%s) / max(place)"
            " FROM search_step",
            [last, last + 600 * 600_000, 2 * last],
        )
        now, later, at_most = cursor.fetchone()
        assert now == 1
        assert later == pytest.approx(1 + 600 / PRODUCTS, abs=0.005)
        assert 1.05 <= at_most < 1.06


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
