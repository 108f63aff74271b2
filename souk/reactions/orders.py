"""What an order does when its payment's outcome is known. The operations go by the state that the rows have reached."""

from __future__ import annotations

from uuid import UUID

from souk.orders.operations import accept_order, take_back_order
from souk.reactions.reaction import Consumer, Event

# Each acceptance waits for a commit; several at a time share that wait.
ORDERS = Consumer(name="orders", number=2, hands=4)


@ORDERS.on("payment.captured")
def accept_paid_order(event: Event) -> None:
    """The money is there."""
    accept_order(order_id=UUID(event.data["reference"]), payment_id=event.subject_id)


@ORDERS.on("payment.declined")
def take_back_unpaid_order(event: Event) -> None:
    """The money is not there."""
    take_back_order(
        order_id=UUID(event.data["reference"]), payment_id=event.subject_id, code=event.data["decline_code"]
    )
