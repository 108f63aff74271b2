"""Placing an order: stock is held, prices are fixed, and the buyer has until the deadline to confirm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from django.db import transaction

from souk.accounts.models import User
from souk.eventlog.operations import acting_user
from souk.kit.context import current_traceparent
from souk.kit.entity import new_id, row_of
from souk.kit.machine import initial_state
from souk.kit.postgresql.prepared import prepared_at_commit, prepared_rows
from souk.kit.problem import Refused
from souk.kit.tracing import traced
from souk.orders.machine import OrderMachine
from souk.orders.models import Order, OrderLine
from souk.orders.operations.counting import count_transitions
from souk.stock.operations import ShortLine

OFFERS = """
    SELECT waiting, moment, wanted_id, seller_id, seller_username, seller_display_name, title, price_amount,
           price_currency, free
      FROM offers_with_stock(%(buyer)s, %(ids)s::uuid[], %(most)s::integer)
"""
OPEN_AND_HOLD = """
    SELECT product_id, requested, available, for_sale
      FROM open_and_hold(%(order)s::jsonb, %(lines)s::jsonb, %(event)s::jsonb)
"""
OPEN_AND_HOLD_OR_FAIL = """
    SELECT open_and_hold_or_fail(%(order)s::jsonb, %(lines)s::jsonb, %(event)s::jsonb)
"""
SHORT = "SK409"  # the SQLSTATE of lines that are short
ORDER_COLUMNS = ("id", "buyer_id", "state", "currency", "total", "created", "expires_at")
LINE_COLUMNS = (
    "id",
    "number",
    "product_id",
    "seller_id",
    "seller_username",
    "seller_display_name",
    "title",
    "unit_price",
    "quantity",
)


@dataclass(frozen=True)
class Line:
    """A wanted product. `place` is where the request names it first, for error pointers."""

    product_id: UUID
    quantity: int
    place: int


class Offer(NamedTuple):
    """A product as it is offered to a buyer at a moment; all but its id is None when nobody can buy it now.

    `waiting` is how many of the buyer's orders wait for confirmation, counted no further than was asked. `free` is what
    seemed to be free of it, without a lock and with holds counted that are due.
    """

    waiting: int
    moment: datetime
    product_id: UUID
    seller_id: UUID
    seller_username: str
    seller_display_name: str
    title: str
    price: int
    currency: str
    free: int | None

    @property
    def is_buyable(self) -> bool:
        """Whether anybody can buy it now; the other columns have values only then."""
        return self.seller_id is not None


class OutOfStock(Refused):
    """Some lines ask for more than can be sold now; nothing was held. `errors` has one entry per short line."""

    advice = "Order at most what is `available`, or come back: what others hold may be free again within five minutes."

    status, code, title = 409, "out_of_stock", "There is not enough of it"


class ProductNotForSale(Refused):
    """Some of the products are unknown, deleted, drafts or archived."""

    advice = "Leave out the lines that `errors` points to."

    status, code, title = 409, "product_not_for_sale", "It is not for sale"


class OwnProduct(Refused):
    """Nobody buys from themselves."""

    advice = "Leave out the lines that `errors` points to."

    status, code, title = 409, "own_product", "It is your own"


class CurrencyMismatch(Refused):
    """The lines have prices in different currencies."""

    advice = "Place one order per currency."

    status, code, title = 409, "currency_mismatch", "One order takes one currency"


class TooManyHolds(Refused):
    """So many of your orders wait for confirmation that another one would be hoarding."""

    advice = "Confirm or cancel some of them, or let them expire, which takes five minutes at most."

    status, code, title = 409, "too_many_holds", "Too many of your orders wait for confirmation"


@traced
@transaction.atomic(savepoint=False)
def place_order(
    *, buyer: User, wanted: Sequence[Line], hold: timedelta, most_holds: int, at_commit: bool = True
) -> Order:
    """Hold the stock of every wanted line and open an order that waits for its confirmation.

    Equal products of `wanted` are merged. Prices are those read in this transaction. `hold` is how long the stock is
    held, `most_holds` how many orders the buyer may have waiting. Raises TooManyHolds, ProductNotForSale, OwnProduct,
    CurrencyMismatch, OutOfStock; nothing is held then.

    The order is written and its stock held with the transaction's COMMIT, so that the stock is locked for no round trip
    and for nothing that Python does; OutOfStock and ProductNotForSale may come out of that too. `at_commit=False` is
    for a transaction that needs the row before.
    """
    lines = merged(wanted)
    offers = offers_to(buyer_id=buyer.pk, product_ids=[line.product_id for line in lines], most=most_holds)
    _refuse_hoarding(offers, most_holds)
    _refuse_unbuyable(lines, offers, buyer)
    order = _snapshot(buyer, lines, offers, hold)
    # What seems to be short already is asked for at once: at the commit its refusal would be an error of the database,
    # which stands in its log. So only who is overtaken in the last moment is told by one.
    seems_enough = all((offers[line.product_id].free or 0) >= line.quantity for line in lines)
    _open_and_hold(order, lines, at_commit=at_commit and seems_enough)
    count_transitions("place")
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


def offers_to(*, buyer_id: UUID, product_ids: Sequence[UUID], most: int) -> dict[UUID, Offer]:
    """Each product as it is offered now, by its id. The buyer's row is locked until the transaction ends."""
    rows = prepared_rows(OFFERS, {"buyer": buyer_id, "ids": list(product_ids), "most": most})
    offers = [Offer(*row) for row in rows]
    return {offer.product_id: offer for offer in offers}


def _refuse_hoarding(offers: Mapping[UUID, Offer], most: int) -> None:
    if next(iter(offers.values())).waiting >= most:
        raise TooManyHolds(f"At most {most} orders may wait for confirmation. Confirm or cancel one of them.")


def _refuse_unbuyable(lines: Sequence[Line], offers: Mapping[UUID, Offer], buyer: User) -> None:
    missing = [line for line in lines if not offers[line.product_id].is_buyable]
    if missing:
        raise ProductNotForSale(
            errors=[_error(line, ProductNotForSale.code, "It is not for sale.") for line in missing]
        )
    own = [line for line in lines if offers[line.product_id].seller_id == buyer.pk]
    if own:
        raise OwnProduct(errors=[_error(line, OwnProduct.code, "It is your own product.") for line in own])
    currency = offers[lines[0].product_id].currency
    other = [line for line in lines if offers[line.product_id].currency != currency]
    if other:
        raise CurrencyMismatch(
            errors=[_error(line, CurrencyMismatch.code, f"The first line is in {currency}.") for line in other]
        )


def _snapshot(buyer: User, lines: Sequence[Line], offers: Mapping[UUID, Offer], hold: timedelta) -> Order:
    """The order and its lines as they will be written, at the offers' prices and by the offers' clock."""
    first = offers[lines[0].product_id]
    written = {"created": first.moment, "updated": first.moment, "deleted": None}
    order = row_of(
        Order,
        **written,
        id=new_id(),
        last_sequence=1,
        state=initial_state(OrderMachine),
        buyer_id=buyer.pk,
        currency=first.currency,
        total=sum(offers[line.product_id].price * line.quantity for line in lines),
        expires_at=first.moment + hold,
        confirmed_at=None,
        accepted_at=None,
        closed_at=None,
        reason=None,
    )
    order.lines = [
        row_of(
            OrderLine,
            **written,
            id=new_id(),
            order_id=order.pk,
            number=number,
            product_id=line.product_id,
            seller_id=offer.seller_id,
            seller_username=offer.seller_username,
            seller_display_name=offer.seller_display_name,
            title=offer.title,
            unit_price=offer.price,
            quantity=line.quantity,
        )
        for number, line in enumerate(lines)
        for offer in [offers[line.product_id]]
    ]
    order.payment = None
    return order


def _open_and_hold(order: Order, lines: Sequence[Line], *, at_commit: bool) -> None:
    """Write the order, its lines, the beginning of its history and its first event, and then hold its stock.

    Raises OutOfStock, ProductNotForSale; with `at_commit` these come out of the end of the transaction.
    """
    event = {
        "actor": str(acting_user(order.buyer_id)),
        "traceparent": current_traceparent(),
        "data": {"state": order.state, "total": {"amount": order.total, "currency": order.currency}},
        "audience": sorted(set(order.audience)),
    }
    rows = {
        "order": {name: getattr(order, name) for name in ORDER_COLUMNS},
        "lines": [{name: getattr(line, name) for name in LINE_COLUMNS} for line in order.lines],
        "event": event,
    }
    written = {name: msgspec.json.encode(value).decode() for name, value in rows.items()}
    if at_commit:
        prepared_at_commit(OPEN_AND_HOLD_OR_FAIL, written, refusal=partial(_told_short, lines))
    elif short := [ShortLine(*row) for row in prepared_rows(OPEN_AND_HOLD, written)]:
        raise _short(lines, short)


def _told_short(lines: Sequence[Line], error: BaseException) -> Refused | None:
    """The refusal that an error of `open_and_hold_or_fail` stands for."""
    if not isinstance(error, psycopg.Error) or error.sqlstate != SHORT:
        return None
    rows = msgspec.json.decode(error.diag.message_detail or "", type=list[ShortLine])
    return _short(lines, rows)


def _short(lines: Sequence[Line], short: Sequence[ShortLine]) -> Refused:
    found = {line.product_id: line for line in short}
    closed = [line for line in lines if line.product_id in found and not found[line.product_id].for_sale]
    if closed:
        return ProductNotForSale(
            errors=[_error(line, ProductNotForSale.code, "It is not for sale.") for line in closed]
        )
    return OutOfStock(
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
