"""Importing: many products of many sellers at once, with everything that offering one by one would have written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from souk.catalog.operations.import_parties import ensure_sellers, ensure_tags
from souk.catalog.operations.import_rows import Row, change_contents, change_stocks, create_products, remember_lines
from souk.eventlog.operations import SYSTEM, database_now
from souk.kit.entity import new_id


class Change(StrEnum):
    """What a line came to."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Line:
    """A product as a seller's own system tells it. Within the limits of `POST /products`; the caller has seen to that.

    `external_id` is the seller's name for the product, `amount` is in minor units of `currency`, `stock` is what is on
    hand at that moment, `tags` are distinct.
    """

    external_id: str
    seller: str
    title: str
    description: str
    amount: int
    currency: str
    stock: int
    tags: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What makes two lines speak of one product."""
        return self.seller, self.external_id

    def content(self) -> bytes:
        """A digest of everything but the stock."""
        told = (self.title, self.description, self.amount, self.currency, sorted(self.tags))
        return hashlib.sha256(msgspec.json.encode(told)).digest()


@dataclass(frozen=True, slots=True)
class LineTaken:
    """A line that is in the catalogue now."""

    product_id: UUID
    change: Change


@dataclass(frozen=True, slots=True)
class LineRefused:
    """A line that changed nothing, and why."""

    reason: str


Outcome = LineTaken | LineRefused


@dataclass(frozen=True)
class Imported:
    """What came of a batch: an outcome per line, in the order of the lines, and how many users and tags were made."""

    outcomes: Sequence[Outcome]
    users: int
    tags: int


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the line of a product said last time; `alive` is whether the product still is."""

    product_id: UUID
    content: bytes
    stock: int
    alive: bool


@transaction.atomic
def import_products(*, lines: Sequence[Line]) -> Imported:
    """Bring every line into the catalogue: make its seller, its tags and its product, or change what changed.

    A line that says what it said before changes nothing, even if sales, the seller's edits or a deletion have changed
    the product since; stock is set only when the line's own number changed. New products are ACTIVE, and newest in the
    order of the lines. Refused, one by one: a stock below what is held for orders. Raises ValueError when two lines
    speak of one product.
    """
    if len({line.key for line in lines}) != len(lines):
        raise ValueError("two lines of one batch speak of the same product")
    with connection.cursor() as cursor:
        # One batch at a time: two imports of one file cannot make the same product twice.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('souk.import', 0)), set_config('souk.actor', %s, true)",
            [str(SYSTEM)],
        )
        at = database_now()
        sellers, users_made = ensure_sellers(cursor, names=[line.seller for line in lines], at=at)
        tags, tags_made = ensure_tags(cursor, names=[tag for line in lines for tag in line.tags], at=at)
        rows = [_row(line, sellers, tags) for line in lines]
        return Imported(_written(cursor, rows, at), users_made, tags_made)


def _row(line: Line, sellers: Mapping[str, UUID], tags: Mapping[str, UUID]) -> Row:
    return Row(
        product_id=new_id(),
        seller_id=sellers[line.seller],
        external_id=line.external_id,
        title=line.title,
        description=line.description,
        amount=line.amount,
        currency=line.currency,
        stock=line.stock,
        tag_ids=[tags[name] for name in line.tags],
        content=line.content(),
    )


def _written(cursor: CursorWrapper, rows: Sequence[Row], at: datetime) -> list[Outcome]:
    """Write what is new or changed, in a number of statements that does not depend on the number of rows."""
    memories = _memories(cursor, rows)
    known = [memories.get((row.seller_id, row.external_id)) for row in rows]
    fresh, contents, stocks = [], [], []
    for row, memory in zip(rows, known, strict=True):
        if memory is None or not (memory.alive or _same(memory, row)):
            fresh.append(row)
            continue
        row.product_id = memory.product_id
        if memory.content != row.content:
            contents.append(row)
        if memory.stock != row.stock:
            stocks.append(row)
    create_products(cursor, fresh, at)
    refused = change_stocks(cursor, also_locked=contents, rows=stocks)
    taken = [row for row in contents if row.product_id not in refused]
    change_contents(cursor, taken, at)
    news = {row.product_id: Change.CREATED for row in fresh}
    news |= {row.product_id: Change.CHANGED for row in (*contents, *stocks)}
    remember_lines(cursor, [row for row in rows if row.product_id in news and row.product_id not in refused])
    return [
        LineRefused(f"/stock: {refused[row.product_id]} are held for orders, more than would be on hand")
        if row.product_id in refused
        else LineTaken(row.product_id, news.get(row.product_id, Change.UNCHANGED))
        for row in rows
    ]


def _same(memory: _Memory, row: Row) -> bool:
    return memory.content == row.content and memory.stock == row.stock


def _memories(cursor: CursorWrapper, rows: Sequence[Row]) -> dict[tuple[UUID, str], _Memory]:
    cursor.execute(
        """
        SELECT l.seller_id, l.external_id, l.product_id, l.content, l.stock, p.deleted IS NULL
          FROM unnest(%s::uuid[], %s::text[]) AS asked (seller_id, external_id)
          JOIN catalog_import_line l USING (seller_id, external_id)
          JOIN catalog_product p ON p.id = l.product_id
        """,
        [[row.seller_id for row in rows], [row.external_id for row in rows]],
    )
    return {
        (seller_id, external_id): _Memory(product_id, bytes(content), stock, alive)
        for seller_id, external_id, product_id, content, stock, alive in cursor.fetchall()
    }
