"""The contract of the doors of orders and sales: what each says of itself. The API never loads it."""

from __future__ import annotations

from collections.abc import Mapping

from souk.bags.operations import BagEmpty
from souk.kit.described import Description, Link
from souk.kit.machine import IllegalTransition
from souk.kit.parsing import Nothing, Page
from souk.orders.operations.confirming import OrderExpired
from souk.orders.operations.placing import CurrencyMismatch, OutOfStock, OwnProduct, ProductNotForSale, TooManyHolds
from souk.orders.serializers import (
    ConfirmOrderIn,
    HistoryOut,
    OrderOut,
    OrdersOut,
    OrdersQuery,
    PlaceOrderIn,
    SaleOut,
    SalesOut,
)

PLACING = (OutOfStock, ProductNotForSale, OwnProduct, CurrencyMismatch, TooManyHolds)
PAID = {"payment": {"method": "card", "token": "tok_ok"}}
WITH_AN_ORDER = {
    **{
        name: Link(operation=name, parameters={"order_id": "$response.body#/id"})
        for name in ("get_order", "cancel_order", "list_order_history")
    },
    "confirm_order": Link(operation="confirm_order", parameters={"order_id": "$response.body#/id"}, body=PAID),
}

DOORS: Mapping[str, Description] = {
    "Orders.get": Description(
        name="list_orders",
        summary="List the caller's own orders",
        tag="Orders",
        caller="user",
        query=OrdersQuery,
        answer=OrdersOut,
        text="The newest first.",
    ),
    "Orders.post": Description(
        name="place_order",
        summary="Place an order and hold its stock",
        tag="Orders",
        caller="user",
        body=PlaceOrderIn,
        answer=OrderOut,
        status=201,
        etag=True,
        refuses=PLACING,
        links=WITH_AN_ORDER,
        text=(
            "All of it is held until `expires_at`, or nothing is. Equal products are merged. A 409 has one "
            "entry per line"
            " concerned."
        ),
    ),
    "BagOrder.post": Description(
        name="order_bag",
        summary="Order what is in the bag",
        tag="Orders",
        caller="user",
        body=Nothing,
        answer=OrderOut,
        status=201,
        etag=True,
        if_match=True,
        refuses=(BagEmpty, *PLACING),
        links=WITH_AN_ORDER,
        text="With the bag's ETag as If-Match it is ordered at the prices that were shown, or not at all.",
    ),
    "OneOrder.get": Description(
        name="get_order",
        summary="Show an order",
        tag="Orders",
        caller="user",
        answer=OrderOut,
        etag=True,
    ),
    "Confirmation.post": Description(
        name="confirm_order",
        summary="Confirm an order and pay",
        tag="Orders",
        caller="user",
        body=ConfirmOrderIn,
        answer=OrderOut,
        etag=True,
        if_match=True,
        refuses=(OrderExpired, IllegalTransition),
        links={"get_order": WITH_AN_ORDER["get_order"]},
        text=(
            "Past the deadline it is `order_expired`. The payment happens afterwards: the order becomes ACCEPTED, or "
            "PENDING_CONFIRMATION again when it was declined in time. A card number anywhere in the request is refused."
        ),
    ),
    "Cancellation.post": Description(
        name="cancel_order",
        summary="Cancel an order",
        tag="Orders",
        caller="user",
        body=Nothing,
        answer=OrderOut,
        etag=True,
        if_match=True,
        refuses=(OrderExpired, IllegalTransition),
        text="While it waits for its confirmation; the stock is sellable again at once.",
    ),
    "Sales.get": Description(
        name="list_sales",
        summary="List orders with lines of the caller's",
        tag="Sales",
        caller="user",
        query=Page,
        answer=SalesOut,
        text="The newest first.",
    ),
    "OneSale.get": Description(
        name="get_sale",
        summary="Show the caller's lines of an order",
        tag="Sales",
        caller="user",
        answer=SaleOut,
    ),
    "History.get": Description(
        name="list_order_history",
        summary="List what happened to an order",
        tag="Orders",
        caller="user",
        query=Page,
        answer=HistoryOut,
        text="The oldest first.",
    ),
}
