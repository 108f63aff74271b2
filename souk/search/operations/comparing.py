"""Whether the search server has what the database has: counts, versions and checksums, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from django.db import connection

from souk.search.gateway import Part, documents_of, parts_of, refresh
from souk.search.operations.indexing import contents_of

AT_ONCE = 20_000
LOOKED_UP_AT_ONCE = 1000
# One statement for a bounded number of products: what a part comes to, without carrying a text out of the database.
SUMS = """
SELECT get_byte(uuid_send(product_id), 15), count(*), sum(version)::bigint, sum(checksum)::bigint
  FROM search_contents(%s) WHERE visible GROUP BY 1
"""
ROWS = """
SELECT product_id, version, checksum FROM search_contents(%s)
 WHERE visible AND get_byte(uuid_send(product_id), 15) = ANY (%s)
"""
NEXT = "SELECT product_id FROM search_product WHERE product_id > %s ORDER BY product_id LIMIT %s"


def product_ids(at_once: int) -> Iterator[list[UUID]]:
    """Every product that somebody may see, some at a time, each batch in a statement of its own."""
    after = UUID(int=0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(NEXT, [after, at_once])
            ids = [product_id for (product_id,) in cursor.fetchall()]
        if not ids:
            return
        yield ids
        after = ids[-1]


def differences(index: str) -> list[UUID]:
    """The products whose document is not what it must be: missing, old, different, or shown and not to be.

    What changed while it was compared is looked at a second time. Raises SearchAway.
    """
    refresh(index)
    wanted = _parts_wanted()
    there = parts_of(index)
    unequal = sorted(part for part in wanted.keys() | there.keys() if wanted.get(part) != there.get(part))
    if not unequal:
        return []
    rows = dict(_rows(unequal))
    found = {product_id: told for part in unequal for product_id, told in documents_of(index, part=part).items()}
    suspects = sorted(one for one in rows.keys() | found.keys() if rows.get(one) != found.get(one))
    refresh(index)
    return [one for some in _some(suspects, LOOKED_UP_AT_ONCE) for one in still_different(index, some)]


def still_different(index: str, ids: Sequence[UUID]) -> list[UUID]:
    """Those of these products whose document is not what it must be now. Raises SearchAway."""
    there = documents_of(index, product_ids=ids)
    wanted = {
        product_id: (version, int(content["checksum"]))
        for product_id, version, content in contents_of(ids)
        if content["visible"]
    }
    return [one for one in ids if wanted.get(one) != there.get(one)]


def _parts_wanted() -> dict[int, Part]:
    sums: dict[int, Part] = {}
    for ids in product_ids(AT_ONCE):
        with connection.cursor() as cursor:
            cursor.execute(SUMS, [ids])
            for part, documents, versions, checksums in cursor.fetchall():
                before = sums.get(part, Part(0, 0, 0))
                sums[part] = Part(
                    before.documents + documents, before.versions + versions, before.checksums + checksums
                )
    return sums


def _rows(parts: Sequence[int]) -> Iterator[tuple[UUID, tuple[int, int]]]:
    for ids in product_ids(AT_ONCE):
        with connection.cursor() as cursor:
            cursor.execute(ROWS, [ids, list(parts)])
            for product_id, version, checksum in cursor.fetchall():
                yield product_id, (version, checksum)


def _some(ids: Sequence[UUID], at_once: int) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), at_once):
        yield ids[start : start + at_once]
