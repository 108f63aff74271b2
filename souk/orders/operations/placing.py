"""Placing an order: stock is held, prices are fixed, and the buyer has until the deadline to confirm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from souk.accounts.models import User
from souk.catalog.models import Product
from souk.eventlog.operations import acting_user, append_history, database_now, record
from souk.kit.problem import Refused
from souk.orders.machine import PENDING
from souk.orders.models import Order, OrderLine
from souk.stock.operations import ShortLine, reserve_stock


@dataclass(frozen=True)
class Line:
    """A wanted product. `place` is where the request names it first, for error pointers."""

    product_id: UUID
    quantity: int
    place: int


class OutOfStock(Refused):
    """Some lines ask for more than can be sold. 409; one error per short line, with requested and available."""

    status, code, title = 409, "out_of_stock", "There is not enough of it"


class ProductNotForSale(Refused):
    """Some products are unknown, deleted, drafts or archived."""

    status, code, title = 409, "product_not_for_sale", "It is not for sale"


class OwnProduct(Refused):
    """Nobody buys from themselves."""

    status, code, title = 409, "own_product", "It is your own"


class CurrencyMismatch(Refused):
    """One order, one currency."""

    status, code, title = 409, "currency_mismatch", "One order takes one currency"


class TooManyHolds(Refused):
    """So many orders of the buyer wait for confirmation that another one would be hoarding."""

    status, code, title = 409, "too_many_holds", "Too many of your orders wait for confirmation"


@transaction.atomic(savepoint=False)
def place_order(*, buyer: User, wanted: Sequence[Line], hold: timedelta, most_holds: int) -> Order:
    """Hold the stock of every wanted line and open an order that waits for its confirmation.

    Equal products of `wanted` are merged. Prices are those read in this transaction. `hold` is how long the stock is
    held, `most_holds` how many orders the buyer may have waiting. Raises TooManyHolds, ProductNotForSale, OwnProduct,
    CurrencyMismatch, OutOfStock; nothing is held then.
    """
    lines = merged(wanted)
    _refuse_hoarding(buyer, most_holds)
    products = _buyable(lines, buyer)
    order = _open_order(buyer, lines, products, hold)
    short = reserve_stock(
        order_id=order.pk, wanted=[(line.product_id, line.quantity) for line in lines], until=order.expires_at
    )
    if short:
        _refuse_short(lines, short)
    return order


def merged(wanted: Sequence[Line]) -> list[Line]:
    """The lines with equal products added up, each at the place where it was named first."""
    found: dict[UUID, Line] = {}
    for line in wanted:
        before = found.get(line.product_id)
        found[line.product_id] = (
            line if before is None else Line(line.product_id, before.quantity + line.quantity, before.place)
        )
    return list(found.values())


def _refuse_hoarding(buyer: User, most: int) -> None:
    # The buyer's row is locked before their orders are counted: two orders at once count one after the other.
    User.objects.select_for_update(no_key=True).filter(pk=buyer.pk).values_list("pk").first()
    waiting = Order.objects.filter(buyer=buyer, state=PENDING).values("pk")[: most + 1]
    if len(waiting) >= most:
        raise TooManyHolds(f"At most {most} orders may wait for confirmation. Confirm or cancel one of them.")


def _buyable(lines: Sequence[Line], buyer: User) -> Mapping[UUID, Product]:
    rows = Product.objects.buyable(line.product_id for line in lines).select_related("seller")
    products: dict[UUID, Product] = {product.pk: product for product in rows}
    missing = [line for line in lines if line.product_id not in products]
    if missing:
        raise ProductNotForSale(
            errors=[_error(line, ProductNotForSale.code, "It is not for sale.") for line in missing]
        )
    own = [line for line in lines if products[line.product_id].seller_id == buyer.pk]
    if own:
        raise OwnProduct(errors=[_error(line, OwnProduct.code, "It is your own product.") for line in own])
    currency = products[lines[0].product_id].price_currency
    other = [line for line in lines if products[line.product_id].price_currency != currency]
    if other:
        raise CurrencyMismatch(
            errors=[_error(line, CurrencyMismatch.code, f"The first line is in {currency}.") for line in other]
        )
    return products


def _open_order(buyer: User, lines: Sequence[Line], products: Mapping[UUID, Product], hold: timedelta) -> Order:
    now = database_now()
    order = Order(
        buyer=buyer,
        state=PENDING,
        currency=products[lines[0].product_id].price_currency,
        total=sum(products[line.product_id].price_amount * line.quantity for line in lines),
        expires_at=now + hold,
        created=now,
        updated=now,
    )
    order.save(force_insert=True)
    rows = [_snapshot(order, number, line, products[line.product_id]) for number, line in enumerate(lines)]
    OrderLine.objects.bulk_create(rows)
    actor = acting_user(buyer.pk)
    append_history(order, source=None, event="place", actor=actor, at=now)
    record(
        order,
        "order.placed",
        actor=actor,
        data={"state": order.state, "total": {"amount": order.total, "currency": order.currency}},
        audience=[buyer.pk, *(row.seller_id for row in rows)],
    )
    return order


def _snapshot(order: Order, number: int, line: Line, product: Product) -> OrderLine:
    return OrderLine(
        order=order,
        number=number,
        product=product,
        seller_id=product.seller_id,
        seller_username=product.seller.username,
        seller_display_name=product.seller.display_name,
        title=product.title,
        unit_price=product.price_amount,
        quantity=line.quantity,
        created=order.created,
        updated=order.created,
    )


def _refuse_short(lines: Sequence[Line], short: Sequence[ShortLine]) -> None:
    found = {line.product_id: line for line in short}
    closed = [line for line in lines if line.product_id in found and not found[line.product_id].for_sale]
    if closed:
        raise ProductNotForSale(errors=[_error(line, ProductNotForSale.code, "It is not for sale.") for line in closed])
    raise OutOfStock(
        errors=[
            {
                **_error(line, OutOfStock.code, "There is not enough of it."),
                "requested": found[line.product_id].requested,
                "available": found[line.product_id].available,
            }
            for line in lines
            if line.product_id in found
        ]
    )


def _error(line: Line, code: str, detail: str) -> dict[str, Any]:
    return {"pointer": f"/lines/{line.place}", "code": code, "detail": detail}
