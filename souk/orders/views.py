"""The doors of a buyer's orders."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import groupby
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from souk.accounts.authentication import signed_in
from souk.eventlog.models import Transition
from souk.eventlog.operations import database_now
from souk.kit.cursor import decode_cursor, link_next, paged
from souk.kit.door import Door, answer, created, etags_in, require_match
from souk.kit.parsing import Nothing, Page, body_of, decoded_json, parsed, query_of
from souk.kit.problem import MalformedRequest, NotFound
from souk.orders.machine import PENDING
from souk.orders.models import Order, OrderLine
from souk.orders.operations import Line, cancel_order, confirm_order, place_order
from souk.orders.operations.locking import lock_own_order
from souk.orders.serializers import (
    ActorOut,
    ConfirmOrderIn,
    HistoryOut,
    OrderOut,
    OrdersOut,
    OrdersQuery,
    PlaceOrderIn,
    TransitionOut,
    order_out,
    refuse_card_numbers,
)
from souk.payments.operations import latest_payment, latest_payments


class Orders(Door):
    """`GET`, `POST /orders`."""

    def get(self, request: Request) -> HttpResponse:
        buyer = signed_in(request)
        asked = query_of(OrdersQuery, request)
        orders = Order.objects.visible_to(buyer.pk)
        if asked.state is not None:
            orders = orders.filter(state=asked.state)
        if asked.cursor is not None:
            orders = orders.filter(id__lt=decode_cursor("orders", asked.cursor, UUID))
        rows = list(orders.order_by("-id")[: asked.limit + 1])
        page, following = paged(rows, asked.limit, list_name="orders", key=lambda order: order.pk)
        return link_next(request, answer(OrdersOut(results=_shown(page), next=following)), following)

    def post(self, request: Request) -> HttpResponse:
        buyer = signed_in(request)
        asked = parsed(PlaceOrderIn, request)
        order = place_order(
            buyer=buyer,
            wanted=[Line(line.product_id, line.quantity, place) for place, line in enumerate(asked.lines)],
            hold=settings.ORDER_HOLD,
            most_holds=settings.MAX_HOLDS_PER_USER,
        )
        (out,) = _shown([order])
        return created(out, location=f"/api/v1/orders/{order.pk}", etag=_etag_of(order))


class OneOrder(Door):
    """`GET /orders/{id}`."""

    def get(self, request: Request, order_id: UUID) -> HttpResponse:
        order = _own_order(request, order_id)
        if (known := etags_in(request, "If-None-Match")) is not None and _etag_of(order) in known:
            return HttpResponse(status=304, headers={"ETag": f'"{_etag_of(order)}"'})
        return _answer(order)


class Confirmation(Door):
    """`POST /orders/{id}/confirm`."""

    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        buyer = signed_in(request)
        _own_order(request, order_id)
        with suppress(MalformedRequest):  # told below, after the media type
            refuse_card_numbers(decoded_json(body_of(request)))
        asked = parsed(ConfirmOrderIn, request)
        _require_version(request, lock_own_order(order_id=order_id, buyer=buyer))
        return _answer(confirm_order(order_id=order_id, buyer=buyer, token=asked.payment.token))


class Cancellation(Door):
    """`POST /orders/{id}/cancel`."""

    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        buyer = signed_in(request)
        _own_order(request, order_id)
        parsed(Nothing, request)
        _require_version(request, lock_own_order(order_id=order_id, buyer=buyer))
        return _answer(cancel_order(order_id=order_id, buyer=buyer))


class History(Door):
    """`GET /orders/{id}/history`."""

    def get(self, request: Request, order_id: UUID) -> HttpResponse:
        order = _own_order(request, order_id)
        asked = query_of(Page, request)
        after = decode_cursor("history", asked.cursor, int) if asked.cursor is not None else 0
        rows = Transition.objects.filter(subject_id=order.pk, sequence__gt=after).order_by("sequence")
        page, following = paged(
            list(rows[: asked.limit + 1]), asked.limit, list_name="history", key=lambda row: row.sequence
        )
        out = HistoryOut(results=[_transition_out(row) for row in page], next=following)
        return link_next(request, answer(out), following)


def _own_order(request: Request, order_id: UUID) -> Order:
    order: Order | None = Order.objects.visible_to(signed_in(request).pk).filter(pk=order_id).first()
    if order is None:
        raise NotFound
    return order


def _answer(order: Order) -> HttpResponse:
    (out,) = _shown([order])
    return answer(out, etag=_etag_of(order))


def _etag_of(order: Order) -> str:
    """Changes with every event of the order, and with every event of its payment, which the answer shows too."""
    payment = latest_payment(reference=order.pk)
    return f"{order.last_sequence}.{payment.attempt}.{payment.last_sequence}" if payment else f"{order.last_sequence}"


def _require_version(request: Request, order: Order) -> None:
    require_match(request, lambda tag: tag == _etag_of(order))


def _shown(orders: Iterable[Order]) -> list[OrderOut]:
    orders = list(orders)
    ids = [order.pk for order in orders]
    rows = OrderLine.objects.filter(order_id__in=ids).order_by("order_id", "number")
    lines = {order_id: list(group) for order_id, group in groupby(rows, key=lambda line: line.order_id)}
    payments = latest_payments(references=ids)
    now = database_now()
    return [
        order_out(
            order,
            lines[order.pk],
            payments.get(order.pk),
            expired=order.state == PENDING and order.expires_at <= now,
        )
        for order in orders
    ]


def _transition_out(row: Transition) -> TransitionOut:
    kind, _, actor_id = row.actor.partition(":")
    return TransitionOut(
        sequence=row.sequence,
        source=row.source,
        target=row.target,
        event=row.event,
        actor=ActorOut(type=kind, id=UUID(actor_id) if actor_id else None),
        at=row.at,
    )
