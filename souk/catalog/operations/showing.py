"""Products and tags as everybody sees them, as JSON that PostgreSQL writes: the hot reads.

To write the twenty products of a page costs PostgreSQL no more than to send their columns; to read those columns, make
objects of them and encode these costs Python more than all the rest of its answer. What comes out is `ProductOut` and
`TagOut` of `souk.catalog.serializers`, field by field; a test holds them equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

from souk.catalog.machine import ACTIVE, ProductMachine
from souk.kit.machine import events_allowed, states_of
from souk.kit.postgresql.prepared import prepared_texts, with_limit


def allowed_to_seller(state: str) -> list[str]:
    """What a seller may do with their product in this state."""
    return ["edit", *events_allowed(ProductMachine, state, "seller"), "delete"]


def moment(column: str) -> str:
    """SQL for a moment as RFC 3339 in UTC, which is every session's time zone."""
    return f"left(to_json({column})::text, -7), 'Z\"'"


def product_json(*, tags: str, states: tuple[str, ...]) -> str:
    """SQL for the JSON of a product, out of the rows p (product), u (its seller) and s (its stock).

    `tags` is SQL for the array of its tags' names, `states` are those it can have; the caller is `%(caller_id)s`.
    """
    actions = {state: ",".join(f'"{event}"' for event in allowed_to_seller(state)) for state in states}
    allowed = "".join(f" WHEN '{state}' THEN '{events}'" for state, events in actions.items())
    published = f"concat({moment('moment_of_id(p.published_id)')})"
    return f"""concat(
        '{{"id":"', p.id, '","seller":{{"id":"', p.seller_id, '","username":', to_json(u.username),
        ',"display_name":', to_json(u.display_name), '}},"title":', to_json(p.title), ',"description":',
        to_json(p.description), ',"price":{{"amount":', p.price_amount, ',"currency":', to_json(p.price_currency),
        '}},"available":', s.on_hand - s.reserved, ',"state":"', p.state, '","tags":', array_to_json({tags}),
        ',"images":', p.images, ',"published":',
        CASE WHEN p.published_id IS NULL THEN 'null' ELSE {published} END, ',"created":', {moment("p.created")},
        ',"updated":', {moment("p.updated")}, ',"allowed_actions":[',
        CASE WHEN p.seller_id = %(caller_id)s::uuid
             THEN concat(CASE p.state{allowed} END, '],"stock":{{"on_hand":', s.on_hand, ',"reserved":', s.reserved,
                         '}}}}')
             ELSE ']}}' END)"""


ANY = product_json(
    tags="""ARRAY(SELECT t.name FROM catalog_producttag w JOIN catalog_tag t ON t.id = w.tag_id
                   WHERE w.product_id = p.id AND w.deleted IS NULL AND t.deleted IS NULL ORDER BY t.name)""",
    states=tuple(states_of(ProductMachine)),
)
JOINED = "JOIN accounts_user u ON u.id = p.seller_id JOIN stock_stock s ON s.product_id = p.id"
ONE = f"""
    SELECT p.version || '.' || s.version, {ANY}
      FROM catalog_product p {JOINED}
     WHERE p.id = %(id)s AND p.deleted IS NULL
       AND (p.seller_id = %(caller_id)s::uuid OR p.state = '{ACTIVE}' AND u.is_active AND u.deleted IS NULL)
"""  # noqa: S608  # made of this module's constants
OWN = f"""
    SELECT p.id, {ANY}
      FROM (SELECT * FROM catalog_product
             WHERE seller_id = %(caller_id)s::uuid AND deleted IS NULL AND id < %(before)s
               AND (%(state)s::text IS NULL OR state = %(state)s)
             ORDER BY id DESC LIMIT {{limit}}) p {JOINED}
     ORDER BY p.id DESC
"""  # noqa: S608  # made of this module's constants
TAG_JSON = f"""concat(
        '{{"id":"', id, '","name":"', name, '","description":', to_json(description), ',"products_count":',
        products_count, ',"created":', {moment("created")}, ',"updated":', {moment("updated")}, '}}')"""
SUGGESTED_ALL = f"""
    SELECT {TAG_JSON} FROM catalog_tag
     WHERE deleted IS NULL ORDER BY products_count DESC, name LIMIT {{limit}}
"""  # noqa: S608  # made of this module's constants
# Between the prefix and the same with a sign after every one that a name may have: an index's range in any plan.
SUGGESTED_BEGINNING = SUGGESTED_ALL.replace(
    "deleted IS NULL", "deleted IS NULL AND name ~>=~ %(prefix)s AND name ~<~ (%(prefix)s || '~')"
)
LAST = UUID(int=2**128 - 1)
PREFIX = re.compile("[a-z0-9-]*")


def show_product(*, product_id: UUID, caller_id: UUID | None) -> tuple[str, bytes] | None:
    """The ETag and the JSON of a product that the caller may see."""
    rows = prepared_texts(ONE, {"id": product_id, "caller_id": caller_id})
    if not rows:
        return None
    version, shown = rows[0]
    return (version or b"").decode(), shown or b""


def show_own_products(
    *, seller_id: UUID, state: str | None, before: UUID | None, limit: int
) -> Sequence[tuple[UUID, bytes]]:
    """The id and the JSON of the seller's products in all states (or this one), made before `before`, newest first."""
    parameters = {"caller_id": seller_id, "state": state, "before": before or LAST}
    rows = prepared_texts(with_limit(OWN, limit), parameters)
    return [(UUID((product_id or b"").decode()), shown or b"") for product_id, shown in rows]


def suggest_tags(*, prefix: str, limit: int) -> list[bytes]:
    """The JSON of the most used tags whose names begin so."""
    if not PREFIX.fullmatch(prefix):
        return []
    statement = with_limit(SUGGESTED_BEGINNING if prefix else SUGGESTED_ALL, limit)
    return [shown or b"" for (shown,) in prepared_texts(statement, {"prefix": prefix})]
