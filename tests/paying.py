"""What the worker does when it hears of a payment, one step at a time, by the same operations."""

from __future__ import annotations

from uuid import UUID

from souk.orders.operations import accept_order, take_back_order
from souk.payments.gateway import Charged, ProviderUnavailable, charge
from souk.payments.operations import capture_payment, decline_payment, lease_payment, postpone_payment
from tests.books import rows_of, run, value_of
from tests.callers import Answer, SignedIn

LATEST = "SELECT id FROM payments_payment WHERE reference = %s ORDER BY attempt DESC LIMIT 1"


def confirm(buyer: SignedIn, order_id: str, method: str = "tok_ok") -> Answer:
    """Confirm an order with this token of the provider's."""
    return buyer.post(f"/orders/{order_id}/confirm", {"payment": {"method": "card", "token": method}})


def latest_payment_id(order_id: str) -> UUID:
    """The order's last attempt to be paid."""
    return UUID(str(value_of(LATEST, order_id)))


def ask_provider(order_id: str) -> str:
    """Put the payment's question to the provider and write down the answer; the payment's state then."""
    payment_id = latest_payment_id(order_id)
    leased = lease_payment(payment_id=payment_id)
    assert leased is not None
    try:
        answer = charge(key=payment_id, token=leased.token, amount=leased.amount, currency=leased.currency)
    except ProviderUnavailable:
        postpone_payment(payment_id=payment_id)
    else:
        if isinstance(answer, Charged):
            capture_payment(payment_id=payment_id, charge_id=answer.charge_id)
        else:
            decline_payment(payment_id=payment_id, code=answer.code)
    return state_of_payment(payment_id)


def hear_outcome(order_id: str) -> None:
    """Let the order hear what came of its last payment."""
    payment_id = latest_payment_id(order_id)
    if state_of_payment(payment_id) == "CAPTURED":
        accept_order(order_id=UUID(order_id), payment_id=payment_id)
    else:
        code = value_of("SELECT decline_code FROM payments_payment WHERE id = %s", payment_id)
        take_back_order(order_id=UUID(order_id), payment_id=payment_id, code=code)


def pay(buyer: SignedIn, order_id: str, method: str = "tok_ok") -> None:
    """Confirm an order, and let the provider and then the order hear of it."""
    assert confirm(buyer, order_id, method).status == 200
    ask_provider(order_id)
    hear_outcome(order_id)


def state_of_payment(payment_id: UUID) -> str:
    """The payment's state."""
    return str(value_of("SELECT state FROM payments_payment WHERE id = %s", payment_id))


def charges() -> list[tuple[int, str, bool]]:
    """Amount, currency and whether it was given back, of everything in the provider's book."""
    rows = rows_of("SELECT amount, currency, refunded FROM payments_providercharge WHERE amount > 0 ORDER BY charge_id")
    return [(amount, currency, refunded) for amount, currency, refunded in rows]


def let_waiting_end(order_id: str) -> None:
    """Move the payment's lease and its next question into the past."""
    run(
        "UPDATE payments_payment SET lease_until = lease_until - interval '1 hour',"
        " next_try_at = next_try_at - interval '1 hour' WHERE reference = %s",
        order_id,
    )
