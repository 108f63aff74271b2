"""The rows that an import writes: by COPY where they are new, by one statement per table where they change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.backends.utils import CursorWrapper

from souk.catalog.machine import ACTIVE
from souk.eventlog.operations import SYSTEM
from souk.kit.entity import new_id

# In a shop that is being filled tables grow a thousandfold within a session: no plan for the empty ones is kept.
INDEX_NOW = """
    SELECT set_config('souk.index_later', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true),
           index_products(%s::uuid[]), set_config('plan_cache_mode', 'auto', true)
"""


@dataclass(slots=True)
class Row:
    """A line, with its names resolved to ids."""

    product_id: UUID
    seller_id: UUID
    external_id: str
    title: str
    description: str
    amount: int
    currency: str
    stock: int
    tag_ids: list[UUID]
    content: bytes

    def told(self) -> tuple[UUID, UUID, str, str, str, int, str]:
        """The columns of the product that the line tells: ids, title, description, price."""
        return (
            self.product_id,
            self.seller_id,
            self.external_id,
            self.title,
            self.description,
            self.amount,
            self.currency,
        )


def create_products(cursor: CursorWrapper, rows: Sequence[Row], at: datetime) -> None:
    """Write new ACTIVE products, with tags, state history, stock and ledger; a trigger tells their events."""
    if not rows:
        return
    ids = [row.product_id for row in rows]
    # Search hears of a product once, when its tags are there too.
    cursor.execute("SELECT set_config('souk.index_later', 'on', true)")
    _copy(
        cursor,
        "catalog_product (id, seller_id, external_id, title, description, price_amount, price_currency, images, state,"
        " published_id, version, last_sequence, created, updated)",
        ((*row.told(), "[]", ACTIVE, new_id(), 1, 0, at, at) for row in rows),
    )
    _copy(
        cursor,
        "eventlog_transition (subject_type, subject_id, sequence, target, event, actor, at)",
        (("product", product_id, 1, ACTIVE, "create", str(SYSTEM), at) for product_id in ids),
    )
    _copy(
        cursor,
        "stock_stock (product_id, owner_id, on_hand, for_sale)",
        ((row.product_id, row.seller_id, row.stock, True) for row in rows),
    )
    _copy(
        cursor,
        "stock_movement (product_id, kind, d_on_hand, d_reserved, reason, actor)",
        ((row.product_id, "received", row.stock, 0, "received", str(SYSTEM)) for row in rows if row.stock),
    )
    _copy(
        cursor,
        "catalog_producttag (id, created, updated, product_id, tag_id)",
        ((new_id(), at, at, row.product_id, tag_id) for row in rows for tag_id in row.tag_ids),
    )
    cursor.execute(INDEX_NOW, [ids])


def change_stocks(cursor: CursorWrapper, *, also_locked: Sequence[Row], rows: Sequence[Row]) -> dict[UUID, int]:
    """Set what is on hand, as counted. Returns the products that hold more for orders than that, with how much.

    Locks the products of both, then all their stock rows, each in id order: what follows locks nothing more.
    """
    ids = sorted({row.product_id for row in (*also_locked, *rows)})
    if not ids:
        return {}
    cursor.execute("SELECT 1 FROM catalog_product WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [ids])
    cursor.execute(
        "SELECT product_id, reserved FROM stock_stock WHERE product_id = ANY(%s) ORDER BY product_id FOR NO KEY UPDATE",
        [ids],
    )
    reserved: dict[UUID, int] = dict(cursor.fetchall())
    refused = {row.product_id: reserved[row.product_id] for row in rows if row.stock < reserved[row.product_id]}
    counted = [row for row in rows if row.product_id not in refused]
    cursor.execute(
        """
        SELECT correct_stock(id, on_hand, NULL, 'counted', NULL, %s)
          FROM unnest(%s::uuid[], %s::integer[]) AS counted (id, on_hand)
        """,
        [str(SYSTEM), [row.product_id for row in counted], [row.stock for row in counted]],
    )
    return refused


def change_contents(cursor: CursorWrapper, rows: Sequence[Row], at: datetime) -> None:
    """Write title, description, price and tags of products that the caller has locked, as one edit each."""
    if not rows:
        return
    _replace_tags(cursor, rows, at)
    cursor.execute(
        """
        UPDATE catalog_product p
           SET title = c.title, description = c.description, price_amount = c.amount, price_currency = c.currency,
               version = p.version + 1, updated = %s
          FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::bigint[], %s::text[])
               AS c (id, title, description, amount, currency)
         WHERE p.id = c.id
        """,
        [
            at,
            [row.product_id for row in rows],
            [row.title for row in rows],
            [row.description for row in rows],
            [row.amount for row in rows],
            [row.currency for row in rows],
        ],
    )


def _replace_tags(cursor: CursorWrapper, rows: Sequence[Row], at: datetime) -> None:
    """Take off the tags that a line does not name any more, and put on those that it names now."""
    cursor.execute(
        """
        WITH worn AS (SELECT * FROM unnest(%(owners)s::uuid[], %(tags)s::uuid[]) AS w (product_id, tag_id)),
        dropped AS (
            UPDATE catalog_producttag t SET deleted = %(at)s, updated = %(at)s
             WHERE t.product_id = ANY(%(ids)s) AND t.deleted IS NULL
               AND NOT EXISTS (SELECT 1 FROM worn w WHERE w.product_id = t.product_id AND w.tag_id = t.tag_id)
        )
        INSERT INTO catalog_producttag (id, created, updated, product_id, tag_id)
        SELECT uuidv7(), %(at)s, %(at)s, product_id, tag_id FROM worn
            ON CONFLICT (product_id, tag_id) WHERE deleted IS NULL DO NOTHING
        """,
        {
            "owners": [row.product_id for row in rows for _ in row.tag_ids],
            "tags": [tag_id for row in rows for tag_id in row.tag_ids],
            "ids": [row.product_id for row in rows],
            "at": at,
        },
    )


def remember_lines(cursor: CursorWrapper, rows: Sequence[Row]) -> None:
    """Keep what the lines said, to know the next time whether they say something else."""
    cursor.execute(
        """
        INSERT INTO catalog_import_line AS kept (seller_id, external_id, product_id, content, stock)
        SELECT * FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::bytea[], %s::integer[])
            ON CONFLICT (seller_id, external_id) DO UPDATE
           SET product_id = excluded.product_id, content = excluded.content, stock = excluded.stock
        """,
        [
            [row.seller_id for row in rows],
            [row.external_id for row in rows],
            [row.product_id for row in rows],
            [row.content for row in rows],
            [row.stock for row in rows],
        ],
    )


def _copy(cursor: CursorWrapper, into: str, rows: Iterable[Sequence[Any]]) -> None:
    with cursor.copy(f"COPY {into} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
