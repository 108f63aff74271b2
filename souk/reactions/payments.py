"""Asking the provider for every payment that was requested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import structlog
from django.db import Error, transaction

from souk.kit.context import enter
from souk.kit.tracing import span
from souk.payments.gateway import Charged, Declined, ProviderUnavailable, charge, refund
from souk.payments.models import Payment
from souk.payments.operations import (
    capture_payment,
    capture_payments,
    decline_payment,
    due_payments,
    due_refunds,
    lease_payment,
    lease_payments,
    postpone_payment,
    postpone_refund,
    settle_refund,
    unprovided_payments,
)
from souk.reactions.reaction import Answered, Consumer, Errand, Event

log = structlog.get_logger()
# The provider may be slow: a hand waits for the slowest of its questions, meanwhile the others take what comes.
PAYMENTS = Consumer(name="payments", number=1, hands=4, batch=25)


def lease_requested_payments(events: Sequence[Event]) -> Mapping[UUID, Payment | None]:
    """Take the right to ask; None where the payment is closed, or where its row says when it will be asked again."""
    payments = {payment.pk: payment for payment in lease_payments(payment_ids=[event.subject_id for event in events])}
    others = [event.subject_id for event in events if event.subject_id not in payments]
    unprovided = unprovided_payments(payment_ids=others) if others else set()
    return {event.id: payments.get(event.subject_id) for event in events if event.subject_id not in unprovided}


def ask_provider(payment: Payment) -> Charged | Declined | None:
    """The provider's answer, or None when it gave none: then whether it charged is unknown."""
    try:
        with span("ask provider", kind="client"):
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


def settle_payments(answers: Sequence[Answered[Payment, Charged | Declined | None]]) -> None:
    """The same for many: those that were charged at once, the others one by one."""
    charged = {one.job.pk: one.answer.charge_id for one in answers if isinstance(one.answer, Charged)}
    if charged:
        traces = {one.job.pk: one.event.traceparent for one in answers}
        capture_payments(charge_ids=charged, traceparents=traces)
    for one in answers:
        if one.job.pk not in charged:
            enter(request_id=str(one.event.id), traceparent=one.event.traceparent)
            settle_payment(one.job, one.answer)


PAYMENTS.run_errand(
    "payment.requested",
    errand=Errand(take=lease_requested_payments, ask=ask_provider, settle=settle_payments),
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
