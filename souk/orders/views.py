"""The doors of a buyer's orders and of a seller's sales."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from souk.accounts.authentication import signed_in
from souk.accounts.models import User
from souk.bags.models import BagLine
from souk.bags.operations import lock_open_bag
from souk.bags.serializers import price_of, require_bag_version
from souk.eventlog.models import Transition
from souk.eventlog.operations import database_now
from souk.eventlog.serializers import ActorOut
from souk.kit.cursor import decode_cursor, link_next, paged
from souk.kit.door import Door, answer, created, etags_in, is_known, not_modified, require_match
from souk.kit.parsing import Nothing, Page, body_of, decoded_json, parsed, query_of
from souk.kit.problem import MalformedRequest, NotFound
from souk.orders.models import Order, OrderLine
from souk.orders.operations import Line, cancel_order, confirm_order, order_bag, place_order
from souk.orders.operations.locking import lock_own_order
from souk.orders.serializers import (
    ConfirmOrderIn,
    HistoryOut,
    OrderOut,
    OrdersOut,
    OrdersQuery,
    PartyOut,
    PlaceOrderIn,
    SaleOut,
    SalesOut,
    TransitionOut,
    etag_of,
    order_out,
    refuse_card_numbers,
    refuse_card_numbers_beside,
    sale_out,
)
from souk.payments.operations import latest_payments, require_known_token


class Orders(Door):
    """`GET`, `POST /orders`."""

    queried = True

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
        return _placed(order)


class BagOrder(Door):
    """`POST /bag/order`. With If-Match it is ordered at the prices that were shown, or not at all."""

    def post(self, request: Request) -> HttpResponse:
        buyer = signed_in(request)
        parsed(Nothing, request)
        bag = lock_open_bag(owner=buyer)
        lines = list(BagLine.objects.shown(bag.pk))
        require_bag_version(request, bag, lines)
        conditional = etags_in(request, "If-Match") not in (None, ["*"])
        order = order_bag(
            bag=bag,
            lines=lines,
            buyer=buyer,
            hold=settings.ORDER_HOLD,
            most_holds=settings.MAX_HOLDS_PER_USER,
            prices={line.product_id: price_of(line) for line in lines} if conditional else None,
        )
        return _placed(order)


class OneOrder(Door):
    """`GET /orders/{id}`."""

    def get(self, request: Request, order_id: UUID) -> HttpResponse:
        order = _own_order(request, order_id)
        if is_known(request, etag := etag_of(order)):
            return not_modified(etag)
        return _answer(order, now=database_now())


class Confirmation(Door):
    """`POST /orders/{id}/confirm`."""

    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        order = lock_own_order(order_id=order_id, buyer=signed_in(request))
        with suppress(MalformedRequest):  # told below, after the media type
            refuse_card_numbers(decoded_json(body_of(request)))
        refuse_card_numbers_beside(query=request.GET, key=request.headers.get("Idempotency-Key", ""))
        asked = parsed(ConfirmOrderIn, request)
        require_known_token(asked.payment.token)
        require_match(request, lambda tag: tag == etag_of(order))
        confirmed = confirm_order(order=order, token=asked.payment.token)
        return _answer(confirmed, now=confirmed.updated)


class Cancellation(Door):
    """`POST /orders/{id}/cancel`."""

    def post(self, request: Request, order_id: UUID) -> HttpResponse:
        order = lock_own_order(order_id=order_id, buyer=signed_in(request))
        parsed(Nothing, request)
        require_match(request, lambda tag: tag == etag_of(order))
        cancelled = cancel_order(order=order)
        return _answer(cancelled, now=cancelled.updated)


class Sales(Door):
    """`GET /sales`: orders with lines of the caller's, the newest first."""

    queried = True

    def get(self, request: Request) -> HttpResponse:
        seller = signed_in(request)
        asked = query_of(Page, request)
        sold = OrderLine.objects.filter(seller=seller)
        if asked.cursor is not None:
            sold = sold.filter(order_id__lt=decode_cursor("sales", asked.cursor, UUID))
        ids = list(sold.order_by("-order_id").values_list("order_id", flat=True).distinct()[: asked.limit + 1])
        page, following = paged(ids, asked.limit, list_name="sales", key=lambda order_id: order_id)
        return link_next(request, answer(SalesOut(results=_sold(page, seller), next=following)), following)


class OneSale(Door):
    """`GET /sales/{order_id}`."""

    def get(self, request: Request, order_id: UUID) -> HttpResponse:
        sales = _sold([order_id], signed_in(request))
        if not sales:
            raise NotFound
        return answer(sales[0])


class History(Door):
    """`GET /orders/{id}/history`."""

    queried = True

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


def _answer(order: Order, *, now: datetime) -> HttpResponse:
    return answer(order_out(order, now=now), etag=etag_of(order))


def _placed(order: Order) -> HttpResponse:
    out = order_out(order, now=order.created)
    return created(out, location=f"/api/v1/orders/{order.pk}", etag=etag_of(order))


def _shown(orders: Sequence[Order]) -> list[OrderOut]:
    ids = [order.pk for order in orders]
    lines = _lines_of(ids)
    payments = latest_payments(references=ids)
    now = database_now()
    for order in orders:
        order.lines, order.payment = lines[order.pk], payments.get(order.pk)
    return [order_out(order, now=now) for order in orders]


def _sold(ids: Sequence[UUID], seller: User) -> list[SaleOut]:
    lines = _lines_of(ids, seller=seller)
    orders = {order.pk: order for order in Order.objects.filter(id__in=list(lines)).select_related("buyer")}
    return [
        sale_out(orders[order_id], _buyer_of(orders[order_id]), lines[order_id])
        for order_id in ids
        if order_id in lines
    ]


def _buyer_of(order: Order) -> PartyOut:
    buyer = order.buyer
    return PartyOut(id=buyer.pk, username=buyer.username, display_name=buyer.display_name)


def _lines_of(ids: Sequence[UUID], **of: Any) -> dict[UUID, list[OrderLine]]:
    rows = OrderLine.objects.filter(order_id__in=ids, **of).order_by("order_id", "number")
    return {order_id: list(group) for order_id, group in groupby(rows, key=lambda line: line.order_id)}


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
