"""Asking the provider for every payment that was requested."""

from __future__ import annotations

from uuid import UUID

import structlog
from django.db import Error, transaction
from django.db.models import Q

from souk.payments.gateway import Charged, Declined, ProviderUnavailable, charge, refund
from souk.payments.machine import REQUESTED
from souk.payments.models import Payment
from souk.payments.operations import (
    capture_payment,
    decline_payment,
    due_payments,
    due_refunds,
    lease_payment,
    postpone_payment,
    postpone_refund,
    settle_refund,
)
from souk.reactions.reaction import Busy, Consumer, Errand, Event

log = structlog.get_logger()
# The provider may be slow: several questions at a time, and no hand sits on entries that another one could take.
PAYMENTS = Consumer(name="payments", number=1, hands=4, batch=1)


def lease_requested_payment(event: Event) -> Payment | None:
    """Take the right to ask; None when the payment is closed, or when its row says when it will be asked again."""
    payment = lease_payment(payment_id=event.subject_id)
    if payment is None and not _is_provided_for(event.subject_id):
        raise Busy
    return payment


def ask_provider(payment: Payment) -> Charged | Declined | None:
    """The provider's answer, or None when it gave none: then whether it charged is unknown."""
    try:
        return charge(key=payment.pk, token=payment.token, amount=payment.amount, currency=payment.currency)
    except ProviderUnavailable as unavailable:
        log.info("payment.unanswered", payment_id=str(payment.pk), tries=payment.tries, reason=str(unavailable))
        return None


def settle_payment(payment: Payment, answer: Charged | Declined | None) -> None:
    """Write down what the provider said. Without an answer the same question is put again later, with the same key."""
    match answer:
        case Charged(charge_id=charge_id):
            capture_payment(payment_id=payment.pk, charge_id=charge_id)
        case Declined(code=code):
            decline_payment(payment_id=payment.pk, code=code)
        case None:
            postpone_payment(payment_id=payment.pk)


PAYMENTS.run_errand(
    "payment.requested",
    errand=Errand(take=lease_requested_payment, ask=ask_provider, settle=settle_payment),
)


def ask_for_due_payments() -> None:
    """Put the questions whose time has come: back-off is over, or whoever asked before has died. For the clock."""
    for payment_id in due_payments():
        payment = lease_payment(payment_id=payment_id)
        if payment is None:
            continue
        try:
            answer = ask_provider(payment)
            with transaction.atomic(durable=True):
                settle_payment(payment, answer)
        except Error:
            raise
        except Exception:
            # One payment that cannot be settled keeps its lease until it lapses, and the others go on.
            log.exception("payment.failed", payment_id=str(payment_id))


def give_back_due_refunds() -> None:
    """Give back the money that nobody waits for. Asking twice is harmless, so nobody needs a lease. For the clock."""
    for payment_id in due_refunds():
        try:
            charge_id = refund(key=payment_id)
        except ProviderUnavailable:
            postpone_refund(payment_id=payment_id)
        else:
            settle_refund(payment_id=payment_id, charge_id=charge_id)


def _is_provided_for(payment_id: UUID) -> bool:
    """Whether the clock will find this payment, or nobody needs to: it is closed, leased, or waits for its next try."""
    pending = Q(state=REQUESTED, lease_until=None, next_try_at=None)
    return not Payment.all_objects.filter(pending, pk=payment_id).exists()
