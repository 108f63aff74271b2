"""The verbs of an order's life, a module per stage."""

from souk.orders.operations.confirming import confirm_order
from souk.orders.operations.ending import cancel_order, expire_due_orders
from souk.orders.operations.ordering_bags import order_bag
from souk.orders.operations.paying import accept_order, accept_orders, take_back_order
from souk.orders.operations.placing import Line, place_order

__all__ = [
    "Line",
    "accept_order",
    "accept_orders",
    "cancel_order",
    "confirm_order",
    "expire_due_orders",
    "order_bag",
    "place_order",
    "take_back_order",
]
