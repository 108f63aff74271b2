"""What an order does when its payment's outcome is known. The operations go by the state that the rows have reached."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from souk.orders.operations import accept_orders, take_back_order
from souk.reactions.reaction import Consumer, Event

# Each round waits for a commit; two hands share that wait.
ORDERS = Consumer(name="orders", number=2, hands=2, batch=50)


@ORDERS.on_many("payment.captured")
def accept_paid_orders(events: Sequence[Event]) -> None:
    """The money is there."""
    paid = [(UUID(event.data["reference"]), event.subject_id) for event in events]
    traces = {UUID(event.data["reference"]): event.traceparent for event in events}
    accept_orders(paid=paid, traceparents=traces)


@ORDERS.on("payment.declined")
def take_back_unpaid_order(event: Event) -> None:
    """The money is not there."""
    take_back_order(
        order_id=UUID(event.data["reference"]), payment_id=event.subject_id, code=event.data["decline_code"]
    )
