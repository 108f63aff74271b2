"""The shapes of bags, in and out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from rest_framework.request import Request

from souk.bags.machine import BagMachine
from souk.bags.models import Bag
from souk.catalog.machine import ACTIVE, ARCHIVED
from souk.catalog.serializers import ProductState
from souk.kit.door import require_match
from souk.kit.machine import events_allowed, states_of
from souk.kit.money import Money, Total
from souk.kit.parsing import Count, Moment, Shape, words_of

Problem = Literal["price_changed", "out_of_stock", "product_not_for_sale"]


class QuantityIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of a product somebody wants in their bag."""

    quantity: Annotated[int, msgspec.Meta(ge=1, le=1000)]


class BagProductOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A product as it is now. One that is gone is shown as ARCHIVED, with nothing available."""

    id: UUID
    title: str
    price: Money
    available: Count
    state: ProductState


class BagLineOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line at the price of now. `price_changed`: the price is not the one that was shown when the line was set."""

    product: BagProductOut
    quantity: int
    line_total: Total
    problems: list[Problem]


class BagOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bag. `totals` has one sum per currency, in the order of the lines."""

    id: UUID
    state: Annotated[str, words_of(*states_of(BagMachine))]
    lines: list[BagLineOut]
    totals: list[Total]
    created: Moment
    updated: Moment
    allowed_actions: list[Annotated[str, words_of("order")]]


def bag_out(bag: Bag, lines: Sequence[Any]) -> BagOut:
    """The bag with its lines, which were read with `BagLineQuerySet.shown`."""
    shown = [_line_out(line) for line in lines]
    sums: dict[str, int] = {}
    for line in shown:
        currency = line.line_total.currency
        sums[currency] = sums.get(currency, 0) + line.line_total.amount
    return BagOut(
        id=bag.pk,
        state=bag.state,
        lines=shown,
        totals=[Total(amount=total, currency=currency) for currency, total in sums.items()],
        created=bag.created,
        updated=bag.updated,
        allowed_actions=events_allowed(BagMachine, bag.state, "buyer") if shown else [],
    )


def etag_of(bag: Bag, lines: Sequence[Any]) -> str:
    """`<wanted>.<shown>`: the first part covers what is in the bag and its prices, the second all else that is shown.

    If-Match compares the first, so that somebody else's purchase does not spoil an order; If-None-Match compares both.
    """
    wanted = [bag.pk, bag.version, *((line.product_id, *price_of(line)) for line in lines)]
    out = bag_out(bag, lines)
    return f"{_digest(wanted)}.{_digest(out)}"


def require_bag_version(request: Request, bag: Bag, lines: Sequence[Any]) -> None:
    """Hold the caller to the contents and prices of their If-Match, if they sent one. Raises VersionMismatch."""
    present = etag_of(bag, lines).partition(".")[0]
    require_match(request, lambda tag: tag.partition(".")[0] == present)


def price_of(line: Any) -> tuple[int, str]:
    """The product's price as it was read with the line: minor units and currency."""
    return line.product.price_amount, line.product.price_currency


def is_for_sale(line: Any) -> bool:
    """Whether the line's product can be bought at all."""
    product = line.product
    return bool(
        line.for_sale
        and product.state == ACTIVE
        and product.deleted is None
        and product.seller.is_active
        and product.seller.deleted is None
    )


def _line_out(line: Any) -> BagLineOut:
    amount, currency = price_of(line)
    for_sale = is_for_sale(line)
    gone = not for_sale and line.product.state == ACTIVE
    available = line.unreserved if for_sale else 0
    problems: list[Problem] = []
    if (amount, currency) != (line.price_amount, line.price_currency):
        problems.append("price_changed")
    if not for_sale:
        problems.append("product_not_for_sale")
    elif available < line.quantity:
        problems.append("out_of_stock")
    price = Money(amount=amount, currency=currency)
    return BagLineOut(
        product=BagProductOut(
            id=line.product_id,
            title=line.product.title,
            price=price,
            available=available,
            state=ARCHIVED if gone else line.product.state,
        ),
        quantity=line.quantity,
        line_total=Total(amount=amount * line.quantity, currency=currency),
        problems=problems,
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:16]
