"""A new index beside the serving one, filled while all is written to both, compared, and put in its place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connection

from souk.eventlog.operations import database_now
from souk.search import gateway
from souk.search.gateway import ALIAS, FINGERPRINT, SearchAway, index_documents
from souk.search.models import Index
from souk.search.operations.comparing import differences, product_ids
from souk.search.operations.indexing import Content, contents_of, written_indices

AT_ONCE = 1000
WRITERS = 2
ROUNDS, TRIES = 5, 6
# The servers merge no part of more than 5 GB by themselves, which would be some ten million products.
MOST_MERGED = 5_000_000
LOCK = "SELECT pg_try_advisory_lock(hashtextextended('souk.search_rebuild', 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('souk.search_rebuild', 0))"
# Who had no index heard nothing; from now on it counts.
BEGIN = """
INSERT INTO search_freshness (id, heard) VALUES (1, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET heard = CASE WHEN %s THEN excluded.heard ELSE search_freshness.heard END
"""
Tell = Callable[[str], None]


class NotRebuilt(Exception):
    """The new index did not come to be like the database. The one before it goes on serving. Says why."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A new index serves: how many products were written to it, in how many seconds; what was taken away."""

    index: str
    products: int
    seconds: float
    dropped: Sequence[str]


def rebuild_index(tell: Tell) -> Rebuilt:
    """Make a new index, fill it, compare it, let the shop read it, drop the old one. Nobody notices.

    Raises NotRebuilt (nothing has changed for the shop then), SearchAway.
    """
    with _alone():
        serving = gateway.served_indices()
        _drop_left_over(serving)
        index = f"{ALIAS}-{database_now():%Y%m%d%H%M%S%f}-{FINGERPRINT[:6]}"
        gateway.create_index(index)
        try:
            with connection.cursor() as cursor:
                cursor.execute(BEGIN, [not serving])
            # From here on whoever writes writes there too. Whoever did not know of it yet wrote what was committed
            # before, which the statements that follow read.
            Index.objects.create(name=index)
            began = time.monotonic()
            products = _fill(index, tell)
            seconds = time.monotonic() - began
            _merge(index, products, tell)
            gateway.open_index(index)
            _settle(index, tell)
        except BaseException:
            _forget(index)
            raise
        before = gateway.serve_index(index)
        for name in before:
            _forget(name)
        return Rebuilt(index, products, seconds, before)


def _drop_left_over(serving: Sequence[str]) -> None:
    """Take away what an earlier rebuild left that was killed."""
    for name in written_indices():
        if name not in serving:
            _forget(name)


def _forget(index: str) -> None:
    """Write there no more, then take it away."""
    Index.objects.filter(name=index).delete()
    gateway.drop_index(index)


def _fill(index: str, tell: Tell) -> int:
    products = 0
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="filling") as writers:
        under_way = []
        for ids in product_ids(AT_ONCE):
            under_way.append(writers.submit(_write, index, contents_of(ids)))
            if len(under_way) > WRITERS:
                under_way.pop(0).result()
            products += len(ids)
            if products % 50_000 < AT_ONCE:
                tell(f"{products} products")
        for one in under_way:
            one.result()
    return products


def _merge(index: str, products: int, tell: Tell) -> None:
    """Merge what the filling left in ten or more parts: each costs every search some 0.1 ms.

    Before there are copies, which take what is merged. An index that cannot be merged serves all the same.
    """
    began = time.monotonic()
    try:
        gateway.merge(index, parts=1 + products // (MOST_MERGED * settings.SEARCH_SHARDS))
    except SearchAway as away:
        tell(f"it could not be merged, and is slower than it might be: {away}")
    else:
        tell(f"merged in {time.monotonic() - began:.1f} s")


def _write(index: str, contents: Sequence[Content]) -> None:
    """Write all of them, and again what was not taken for now. Raises NotRebuilt, SearchAway."""
    left = list(contents)
    for pause in range(TRIES):
        problems = {one.product_id: one for one in index_documents([index], left) if one.error}
        if not problems:
            return
        left = [content for content in left if content[0] in problems]
        time.sleep(0.1 * 2**pause)
    worst = next(iter(problems.values()))
    raise NotRebuilt(f"{len(problems)} documents were refused, the first ({worst.product_id}) with {worst.error}.")


def _settle(index: str, tell: Tell) -> None:
    """Compare, and write what differs, until nothing does."""
    for _ in range(ROUNDS):
        found = differences(index)
        if not found:
            return
        tell(f"{len(found)} products differ and are written again")
        # Those that are no product any more are shown there and must not be: their content says so.
        for start in range(0, len(found), AT_ONCE):
            _write(index, contents_of(found[start : start + AT_ONCE]))
    raise NotRebuilt(f"After {ROUNDS} rounds {len(found)} products still differ, among them {found[0]}.")


@contextmanager
def _alone() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(LOCK)
        if not cursor.fetchone()[0]:
            raise NotRebuilt("Another `souk search reindex` is at work.")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(UNLOCK)
