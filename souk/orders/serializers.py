"""The shapes of orders, in and out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.http import QueryDict

from souk.catalog.serializers import SellerOut
from souk.eventlog.serializers import ActorOut
from souk.kit.machine import events_allowed, states_of
from souk.kit.money import Money, Total
from souk.kit.parsing import UNSTORABLE, Count, Moment, Page, Shape, below, told, words_of
from souk.kit.problem import ValidationFailed
from souk.orders.machine import PENDING, OrderMachine
from souk.orders.models import Order, OrderLine
from souk.payments.gateway import TOKENS

CARD_NUMBER = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
CARD_FOUND = {
    "code": "card_number",
    "detail": "This looks like a card number. Souk takes the payment provider's tokens only.",
}
OrderState = Literal["PENDING_CONFIRMATION", "CONFIRMED", "ACCEPTED", "NOT_CONFIRMED", "CANCELLED"]
ShownState = Annotated[str, words_of(*states_of(OrderMachine))]


class LineIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wanted product."""

    product_id: UUID
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1000)]


class PlaceOrderIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a buyer orders. Equal products are merged."""

    lines: Annotated[list[LineIn], msgspec.Meta(min_length=1, max_length=100)]


class CardIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Payment details: a token of the provider, never a card number."""

    method: Literal["card"]
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=100), told(enum=sorted(TOKENS))]


class ConfirmOrderIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a buyer pays."""

    payment: CardIn


class OrdersQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a buyer's list of orders."""

    state: OrderState | None = None


class LineOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line as it was when the order was placed."""

    product_id: UUID
    seller: SellerOut
    title: str
    unit_price: Money
    quantity: int
    line_total: Total


class PaymentOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last attempt to be paid; `attempts` counts the confirmations."""

    state: Annotated[str, words_of("REQUESTED", "CAPTURED", "DECLINED", "REFUNDED")]
    attempts: Count
    decline_code: str | None


class OrderOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order, for its buyer."""

    id: UUID
    state: ShownState
    lines: list[LineOut]
    total: Total
    expires_at: Moment
    confirmed_at: Moment | None
    accepted_at: Moment | None
    closed_at: Moment | None
    reason: Annotated[str, words_of("expired", "payment_declined")] | None
    payment: PaymentOut | None
    allowed_actions: list[Annotated[str, words_of("confirm", "cancel")]]
    created: Moment
    updated: Moment


class OrdersOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of orders."""

    results: list[OrderOut]
    next: str | None


class PartyOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The buyer, for a seller."""

    id: UUID
    username: str
    display_name: str


class SaleOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order, for a seller of some of its lines. `total` is the sum of these lines."""

    id: UUID
    state: ShownState
    buyer: PartyOut
    lines: list[LineOut]
    total: Total
    allowed_actions: list[str]
    created: Moment
    updated: Moment


class SalesOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of sales."""

    results: list[SaleOut]
    next: str | None


class TransitionOut(
    Shape, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}
):
    """One change of the order's state."""

    sequence: int
    source: ShownState | None
    target: ShownState
    event: str
    actor: ActorOut
    at: Moment


class HistoryOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of an order's history, oldest first."""

    results: list[TransitionOut]
    next: str | None


def order_out(order: Order, *, now: datetime) -> OrderOut:
    """The order as its buyer sees it. Past its deadline (by `now`, the database's moment) nothing can be done."""
    payment = order.payment
    expired = order.state == PENDING and order.expires_at <= now
    return OrderOut(
        id=order.pk,
        state=order.state,
        lines=[line_out(line, order.currency) for line in order.lines],
        total=Total(amount=order.total, currency=order.currency),
        expires_at=order.expires_at,
        confirmed_at=order.confirmed_at,
        accepted_at=order.accepted_at,
        closed_at=order.closed_at,
        reason=order.reason,
        payment=None
        if payment is None
        else PaymentOut(state=payment.state, attempts=payment.attempt, decline_code=payment.decline_code),
        allowed_actions=[] if expired else events_allowed(OrderMachine, order.state, "buyer"),
        created=order.created,
        updated=order.updated,
    )


def etag_of(order: Order) -> str:
    """Changes with every event of the order, and with every event of its payment, which is shown too."""
    payment = order.payment
    return f"{order.last_sequence}.{payment.attempt}.{payment.last_sequence}" if payment else f"{order.last_sequence}"


def sale_out(order: Order, buyer: PartyOut, lines: Sequence[OrderLine]) -> SaleOut:
    """The part of an order that is one seller's: these lines alone, and their sum."""
    return SaleOut(
        id=order.pk,
        state=order.state,
        buyer=buyer,
        lines=[line_out(line, order.currency) for line in lines],
        total=Total(amount=sum(line.unit_price * line.quantity for line in lines), currency=order.currency),
        created=order.created,
        updated=order.updated,
        allowed_actions=[],
    )


def line_out(line: OrderLine, currency: str) -> LineOut:
    """A line as it was when the order was placed."""
    return LineOut(
        product_id=line.product_id,
        seller=SellerOut(id=line.seller_id, username=line.seller_username, display_name=line.seller_display_name),
        title=line.title,
        unit_price=Money(amount=line.unit_price, currency=currency),
        quantity=line.quantity,
        line_total=Total(amount=line.unit_price * line.quantity, currency=currency),
    )


def refuse_card_numbers(value: Any) -> None:
    """Look for anything like a card number in a request. Raises ValidationFailed, without repeating the number."""
    places = list(_card_numbers(value, ""))
    if places:
        raise ValidationFailed(errors=[{"pointer": place, **CARD_FOUND} for place in places])


def refuse_card_numbers_beside(*, query: QueryDict, key: str) -> None:
    """The same for the query, and for an Idempotency-Key, which is stored. Raises ValidationFailed.

    A key is judged whole: one UUID in some hundreds has digits in it that pass for a card number.
    """
    if any(_is_card_number(value) for values in query.lists() for value in [values[0], *values[1]]):
        raise ValidationFailed(errors=[{"parameter": "query", **CARD_FOUND}])
    bare = key.strip().strip('"')
    if CARD_NUMBER.fullmatch(bare) and _is_card_number(bare):
        raise ValidationFailed(errors=[{"parameter": "Idempotency-Key", **CARD_FOUND}])


def _card_numbers(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, dict):
        for number, (key, inner) in enumerate(value.items()):
            # A key that is a card number is not repeated in the pointer, and one that cannot be written is not written.
            shown = f"{place}/{number}" if _is_card_number(key) or UNSTORABLE.search(key) else below(place, key)
            yield from [shown] if _is_card_number(key) else _card_numbers(inner, shown)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _card_numbers(inner, f"{place}/{index}")
    elif isinstance(value, str | int) and not isinstance(value, bool) and _is_card_number(str(value)):
        yield place


def _is_card_number(text: str) -> bool:
    return any(_luhn(found[0].replace(" ", "").replace("-", "")) for found in CARD_NUMBER.finditer(text))


def _luhn(digits: Iterable[str]) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(list(digits)))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0
