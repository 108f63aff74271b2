"""Keeping the documents of the search server like the rows of the database.

Whoever hears that a product changed marks it; whoever writes takes marked products, reads what they are now, and writes
that, outside of any transaction. A document's version is the number of the product's last event, and the server refuses
older ones: so it does not matter who writes when, how often, or what is heard twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from django.db import connection

from souk.catalog.machine import ACTIVE
from souk.search.gateway import SearchAway, Written, index_documents
from souk.search.models import Index, Outdated
from souk.search.operations.asking import milliseconds_of

log = structlog.get_logger()
AT_ONCE = 500
# Tries after which a document that the server refuses for itself no longer counts as being late.
MOST_TRIES = 5
# More than so many that are refused for themselves are no accident of theirs.
FEW = 100
REFUSED = 400
# The product's id and version come first; the rest is its document.
Content = tuple[UUID, int, Mapping[str, Any]]
MARK = """
INSERT INTO search_outdated (product_id, mark, taken_until)
SELECT id, nextval('search_mark'), 'epoch' FROM unnest(%s::uuid[]) AS id GROUP BY id ORDER BY id
    ON CONFLICT (product_id) DO UPDATE SET mark = excluded.mark, taken_until = 'epoch', tries = 0
"""
AFFECTED = """
SELECT id FROM catalog_product WHERE seller_id = ANY (%s) AND published_id IS NOT NULL AND deleted IS NULL
 UNION
SELECT product_id FROM catalog_producttag WHERE tag_id = ANY (%s)
"""
TAKE = """
UPDATE search_outdated SET taken_until = clock_timestamp() + interval '30 seconds'
 WHERE product_id IN (SELECT product_id FROM search_outdated WHERE taken_until < clock_timestamp()
                       ORDER BY since LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING product_id, mark
"""
DONE = """
DELETE FROM search_outdated o USING unnest(%s::uuid[], %s::bigint[]) AS done (product_id, mark)
 WHERE o.product_id = done.product_id AND o.mark = done.mark
"""
FAILED = """
UPDATE search_outdated o
   SET tries = o.tries + failed.counts, error = failed.error,
       taken_until = clock_timestamp() + interval '1 second' * least(2 ^ o.tries, 60)
  FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::integer[]) AS failed (product_id, mark, error, counts)
 WHERE o.product_id = failed.product_id AND o.mark = failed.mark
"""
CONTENTS = """
SELECT product_id, version, visible, published_id, title, description, tags, price, currency, available, seller,
       created, checksum
  FROM search_contents(%s)
"""
BEHIND = """
SELECT greatest(coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0),
                (SELECT extract(epoch FROM clock_timestamp() - heard) FROM search_freshness))
  FROM search_outdated
 WHERE tries < %(most)s OR (SELECT count(*) FROM search_outdated WHERE tries >= %(most)s) > %(few)s
"""
REPAIR = """
INSERT INTO search_repair AS r (product_id, times) SELECT id, 1 FROM unnest(%s::uuid[]) AS id
    ON CONFLICT (product_id) DO UPDATE SET times = r.times + 1
"""


def mark_outdated(product_ids: Iterable[UUID]) -> None:
    """The documents of these products must be written anew. In the caller's transaction, if there is one."""
    ids = list(product_ids)
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(MARK, [ids])


def mark_products_of(*, sellers: Sequence[UUID] = (), tags: Sequence[UUID] = ()) -> None:
    """The same for everything that these users sell, and for everything that wears these tags."""
    with connection.cursor() as cursor:
        cursor.execute(AFFECTED, [list(sellers), list(tags)])
        ids = [product_id for (product_id,) in cursor.fetchall()]
    mark_outdated(ids)


def repair_documents(product_ids: Sequence[UUID]) -> None:
    """Have these documents written whatever version is there: it was not Souk that wrote it, or not this database."""
    with connection.cursor() as cursor:
        cursor.execute(REPAIR, [list(product_ids)])
    mark_outdated(product_ids)


def write_outdated() -> int:
    """Write some of what is outdated; returns how many products that were. Call it until it returns 0.

    What the server refuses is tried again later. Raises SearchAway when it took nothing at all.
    """
    indices = written_indices()
    taken = _take()
    if not taken:
        return 0
    problems: Mapping[UUID, Written | None] = {}
    if indices:
        try:
            problems = _write(indices, list(taken))
        except SearchAway as away:
            _settle({}, {product_id: (mark, str(away), 0) for product_id, mark in taken.items()})
            raise
    failed = {product_id: (taken[product_id], *_told(problem)) for product_id, problem in problems.items()}
    _settle({product_id: mark for product_id, mark in taken.items() if product_id not in failed}, failed)
    return len(taken)


def written_indices() -> list[str]:
    """The indices that documents are written to; none before the first `souk search reindex`."""
    return list(Index.objects.order_by("name").values_list("name", flat=True))


def contents_of(product_ids: Sequence[UUID]) -> list[Content]:
    """What the documents of these products must be, read now, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(CONTENTS, [list(product_ids)])
        return [_content(*row) for row in cursor.fetchall()]


def seconds_behind() -> float:
    """How late the documents are: the age of what is marked, and of what nobody has heard yet."""
    with connection.cursor() as cursor:
        cursor.execute(BEHIND, {"most": MOST_TRIES, "few": FEW})
        (seconds,) = cursor.fetchone()
    return max(float(seconds), 0.0)


def count_outdated() -> int:
    """How many products have a document that must be written."""
    return Outdated.objects.count()


def _take() -> dict[UUID, int]:
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [AT_ONCE])
        return dict(cursor.fetchall())


def _write(indices: Sequence[str], product_ids: Sequence[UUID]) -> dict[UUID, Written | None]:
    """Write the products everywhere; those that are not there now, with what was said of them."""
    contents = contents_of(product_ids)
    written = index_documents(indices, contents)
    told = {(one.product_id, one.index) for one in written}
    problems: dict[UUID, Written | None] = {one.product_id: one for one in written if one.error}
    for product_id, _, _ in contents:
        if any((product_id, index) not in told for index in indices):
            problems.setdefault(product_id, None)
    return problems


def _told(problem: Written | None) -> tuple[str, int]:
    """What to note of a failure, and whether it counts: only what is wrong with the document itself does."""
    if problem is None:
        return "the server said nothing of it", 0
    if problem.status != REFUSED:  # too many requests, a block, a shard that is away
        return f"{problem.status} {problem.error}", 0
    log.warning("search.document_refused", product_id=str(problem.product_id), error=problem.error)
    return problem.error, 1


def _settle(done: Mapping[UUID, int], failed: Mapping[UUID, tuple[int, str, int]]) -> None:
    with connection.cursor() as cursor:
        if done:
            cursor.execute(DONE, [list(done), list(done.values())])
        if failed:
            marks, errors, counts = zip(*failed.values(), strict=True)
            cursor.execute(FAILED, [list(failed), list(marks), [error[:500] for error in errors], list(counts)])


def _content(
    product_id: UUID, version: int, visible: bool, published_id: UUID | None, title: str, description: str,
    tags: list[str], price: int, currency: str, available: bool, seller: UUID, created: Any, checksum: int,
) -> Content:  # fmt: skip
    part = product_id.int & 0xFF
    if not visible or published_id is None:
        return product_id, version, {"visible": False, "version": version, "part": part}
    return product_id, version, {
        "title": title, "description": description, "tags": tags, "price": price, "currency": currency,
        "available": available, "seller": str(seller), "state": ACTIVE, "created": int(created.timestamp() * 1000),
        "published": milliseconds_of(published_id), "published_id": str(published_id),
        "visible": True, "version": version, "checksum": checksum, "part": part,
    }  # fmt: skip
