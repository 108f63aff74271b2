"""Asking to be paid, and what came of it. The provider itself is asked by the reaction, outside any transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Q

from souk.eventlog.models import ClockTimestamp
from souk.eventlog.operations import SYSTEM, Actor, append_history, change_state, database_now, record
from souk.kit.problem import ValidationFailed
from souk.payments.gateway import TOKENS
from souk.payments.machine import REQUESTED
from souk.payments.models import Payment

LEASE = timedelta(seconds=15)
# After this long without an answer the provider counts as unreachable, and the payment as declined.
PATIENCE = timedelta(seconds=60)


class UnknownPaymentToken(ValidationFailed):
    """The token is none of the provider's. 400 at its place."""

    def __init__(self) -> None:
        error = {"pointer": "/payment/token", "code": "unknown", "detail": "The payment provider knows no such token."}
        super().__init__(errors=[error])


@transaction.atomic(savepoint=False)
def request_payment(
    *, reference: UUID, payer_id: UUID, amount: int, currency: str, token: str, actor: Actor
) -> Payment:
    """Ask the payer for `amount` minor units for an opaque `reference`, whose row the caller has locked.

    The provider hears of it through the log. Raises UnknownPaymentToken.
    """
    if token not in TOKENS:
        raise UnknownPaymentToken
    attempts = Payment.all_objects.filter(reference=reference).aggregate(last=Max("attempt"))["last"] or 0
    now = database_now()
    payment = Payment(
        created=now,
        updated=now,
        state=REQUESTED,
        reference=reference,
        attempt=attempts + 1,
        payer_id=payer_id,
        amount=amount,
        currency=currency,
        token=token,
    )
    payment.save(force_insert=True)
    append_history(payment, source=None, event="request", actor=actor, at=now)
    record(payment, "payment.requested", actor=actor, data=_told(payment), audience=[payer_id])
    return payment


@transaction.atomic
def lease_payment(*, payment_id: UUID) -> Payment | None:
    """Take the payment for one question to the provider, or None when there is nothing to ask (now, or any more).

    Whoever holds the lease is the only one to ask; it lapses by itself.
    """
    due = Q(lease_until=None) | Q(lease_until__lt=ClockTimestamp())
    waited = Q(next_try_at=None) | Q(next_try_at__lte=ClockTimestamp())
    payment: Payment | None = (
        Payment.objects.filter(due, waited, pk=payment_id, state=REQUESTED)
        .select_for_update(no_key=True, skip_locked=True)
        .first()
    )
    if payment is not None:
        payment.change(lease_until=database_now() + LEASE, tries=payment.tries + 1)
    return payment


@transaction.atomic(savepoint=False)
def postpone_payment(*, payment_id: UUID) -> bool:
    """The provider did not answer: ask again later, with growing pauses. Past the patience, decline.

    Returns whether it will be asked again.
    """
    payment = _locked(payment_id)
    if payment.state != REQUESTED:
        return False
    now = database_now()
    if payment.created < now - PATIENCE:
        decline_payment(payment_id=payment_id, code="provider_unreachable")
        return False
    pause = timedelta(seconds=min(2 ** min(payment.tries, 5), 20))
    payment.change(lease_until=None, next_try_at=now + pause)
    return True


@transaction.atomic(savepoint=False)
def capture_payment(*, payment_id: UUID, charge_id: str) -> None:
    """The provider took the money. Quiet when that is known already. Raises IllegalTransition after a decline."""
    _close(payment_id, "capture", charge_id=charge_id)


@transaction.atomic(savepoint=False)
def decline_payment(*, payment_id: UUID, code: str) -> None:
    """The provider did not take the money. Quiet when that is known already."""
    _close(payment_id, "decline", decline_code=code)


def due_payments(*, limit: int = 50) -> list[UUID]:
    """Payments that nobody is asking for and whose next question is due: lost leases and back-off."""
    due = Q(lease_until__lt=ClockTimestamp()) | Q(lease_until=None, next_try_at__lte=ClockTimestamp())
    rows = Payment.objects.filter(due, state=REQUESTED).order_by("next_try_at", "id")
    return list(rows.values_list("id", flat=True)[:limit])


def latest_payment(*, reference: UUID) -> Payment | None:
    """The last attempt to be paid for this."""
    payment: Payment | None = Payment.objects.filter(reference=reference).order_by("-attempt").first()
    return payment


def latest_payments(*, references: Iterable[UUID]) -> dict[UUID, Payment]:
    """The last attempt to be paid for each of these, where there is one."""
    rows = Payment.objects.filter(reference__in=list(references)).order_by("reference", "-attempt")
    return {payment.reference: payment for payment in rows.distinct("reference")}


def _locked(payment_id: UUID) -> Payment:
    payment: Payment = Payment.objects.select_for_update(no_key=True).get(pk=payment_id)
    return payment


def _close(payment_id: UUID, event: str, **values: Any) -> None:
    payment = _locked(payment_id)
    outcome = {"capture": "captured", "decline": "declined"}[event]
    if payment.state == outcome.upper():
        return
    change_state(
        payment,
        event,
        actor=SYSTEM,
        at=database_now(),
        event_type=f"payment.{outcome}",
        data={**_told(payment), **values},
        audience=[payment.payer_id],
        lease_until=None,
        next_try_at=None,
        **values,
    )


def _told(payment: Payment) -> dict[str, Any]:
    return {
        "reference": payment.reference,
        "attempt": payment.attempt,
        "amount": payment.amount,
        "currency": payment.currency,
    }
