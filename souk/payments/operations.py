"""Asking to be paid, and what came of it. The provider itself is asked by the reaction, outside any transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from souk.eventlog.models import ClockTimestamp
from souk.eventlog.operations import SYSTEM, change_state, change_state_of_many, database_now
from souk.kit.entity import columns_of, new_id, read_rows, row_of, rows_of
from souk.kit.machine import initial_state
from souk.kit.postgresql.prepared import prepared_rows
from souk.kit.problem import ValidationFailed
from souk.kit.tracing import traced
from souk.payments.gateway import TOKENS
from souk.payments.machine import CAPTURED, DECLINED, REQUESTED
from souk.payments.models import Payment

LEASE_TIME = timedelta(seconds=15)
# After this long without an answer the provider counts as unreachable, and the payment as declined.
PATIENCE = timedelta(seconds=60)
UNREACHABLE = "provider_unreachable"
REFUND_PAUSE = timedelta(seconds=10)
# The columns of a payment that nobody has been asked for yet.
NOTHING_YET = {
    "deleted": None,
    "last_sequence": 1,
    "state": initial_state(Payment.machine),
    "charge_id": None,
    "decline_code": None,
    "tries": 0,
    "lease_until": None,
    "next_try_at": None,
    "refund_due_at": None,
}
LEASE = """
WITH due AS (
    SELECT id FROM payments_payment
     WHERE id = ANY(%(ids)s::uuid[]) AND state = %(state)s AND deleted IS NULL
       AND (lease_until IS NULL OR lease_until < clock_timestamp())
       AND (next_try_at IS NULL OR next_try_at <= clock_timestamp())
     ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE payments_payment p
   SET lease_until = clock_timestamp() + %(lease)s::interval, tries = tries + 1, updated = clock_timestamp()
  FROM due WHERE p.id = due.id
RETURNING {columns}
"""
# As `_told` and the charge: what one payment tells, over the changed row.
CAPTURE_TOLD = """
jsonb_build_object('reference', changed.reference, 'attempt', changed.attempt, 'amount', changed.amount,
                   'currency', changed.currency, 'charge_id', changed.charge_id)
"""
ASKED_COLUMNS = ("id", "state", "reference", "payer_id", "amount", "currency", "token")


class UnknownPaymentToken(ValidationFailed):
    """The token is none of the provider's. 400 at its place."""

    def __init__(self) -> None:
        error = {"pointer": "/payment/token", "code": "unknown", "detail": "The payment provider knows no such token."}
        super().__init__(errors=[error])


def require_known_token(token: str) -> None:
    """Raises UnknownPaymentToken for what the provider did not give out."""
    if token not in TOKENS:
        raise UnknownPaymentToken


def payment_of(*, reference: UUID, payer_id: UUID, amount: int, currency: str, token: str) -> Payment:
    """A payment of `amount` minor units for an opaque `reference`, not written yet. Raises UnknownPaymentToken.

    The SQL function `ask_payment` writes it, as its next attempt and at its moment; the provider hears of it through
    the log.
    """
    require_known_token(token)
    return row_of(
        Payment,
        **NOTHING_YET,
        id=new_id(),
        created=None,
        updated=None,
        reference=reference,
        attempt=0,
        payer_id=payer_id,
        amount=amount,
        currency=currency,
        token=token,
    )


def asked_columns(payment: Payment) -> dict[str, Any]:
    """What `ask_payment` is told of it."""
    return {name: getattr(payment, name) for name in ASKED_COLUMNS}


def note_asked(payment: Payment, *, attempt: int, at: datetime) -> None:
    """What `ask_payment` made of it."""
    payment.attempt, payment.created, payment.updated = attempt, at, at


def lease_payment(*, payment_id: UUID) -> Payment | None:
    """Take the payment for one question to the provider, or None when there is nothing to ask (now, or any more).

    Whoever holds the lease is the only one to ask; it lapses by itself.
    """
    return next(iter(lease_payments(payment_ids=[payment_id])), None)


def lease_payments(*, payment_ids: Sequence[UUID]) -> list[Payment]:
    """The same for many, in the caller's transaction: those of them that there is something to ask for."""
    columns = ", ".join(f"p.{name}" for name in columns_of(Payment))
    # Nothing is waited for, so the clock may be read in the statement that locks.
    asked = {"ids": list(payment_ids), "state": REQUESTED, "lease": LEASE_TIME}
    return rows_of(Payment, prepared_rows(LEASE.format(columns=columns), asked))


def unprovided_payments(*, payment_ids: Sequence[UUID]) -> set[UUID]:
    """Those that wait for their first question: the clock finds all others, or nobody needs to."""
    waiting = Q(state=REQUESTED, lease_until=None, next_try_at=None)
    return set(Payment.all_objects.filter(waiting, pk__in=payment_ids).values_list("id", flat=True))


@traced
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
        decline_payment(payment_id=payment_id, code=UNREACHABLE)
        return False
    left = payment.created + PATIENCE - now
    pause = min(timedelta(seconds=min(2 ** min(payment.tries, 5), 20)), left + timedelta(milliseconds=100))
    payment.change(lease_until=None, next_try_at=now + pause)
    return True


@traced
@transaction.atomic(savepoint=False)
def capture_payment(*, payment_id: UUID, charge_id: str) -> None:
    """The provider took the money. Quiet when that is known already.

    Money that comes after the payment was given up is not kept: it is to be given back.
    """
    payment = _locked(payment_id)
    if payment.state == DECLINED:
        payment.change(charge_id=charge_id, refund_due_at=database_now())
    elif payment.state == REQUESTED:
        _close(payment, "capture", "payment.captured", charge_id=charge_id)


@traced
@transaction.atomic(savepoint=False)
def capture_payments(*, charge_ids: Mapping[UUID, str], traceparents: Mapping[UUID, str | None]) -> None:
    """The same for many payments at once; `traceparents` are the traces that the questions belonged to, by payment."""
    locked = Payment.objects.select_for_update(no_key=True).filter(pk__in=list(charge_ids)).order_by("id")
    states = dict(locked.values_list("id", "state"))
    requested = {key: charge_ids[key] for key, state in states.items() if state == REQUESTED}
    change_state_of_many(
        Payment,
        "capture",
        ids=requested,
        actor=SYSTEM,
        event_type="payment.captured",
        audience_sql="ARRAY[payer_id]",
        told_sql=CAPTURE_TOLD,
        each={"charge_id": requested},
        traceparents={key: traceparents.get(key) for key in requested},
        lease_until=None,
        next_try_at=None,
    )
    for payment_id in charge_ids.keys() - requested.keys():
        capture_payment(payment_id=payment_id, charge_id=charge_ids[payment_id])


@traced
@transaction.atomic(savepoint=False)
def decline_payment(*, payment_id: UUID, code: str) -> None:
    """The provider did not take the money. Quiet when that is known already. Raises IllegalTransition when it did."""
    payment = _locked(payment_id)
    if payment.state == DECLINED:
        return
    # Nobody knows whether a provider that never answered has charged: it is told to give back whatever it took.
    unknown = {"refund_due_at": database_now()} if code == UNREACHABLE else {}
    _close(payment, "decline", "payment.declined", decline_code=code, **unknown)


@traced
@transaction.atomic(savepoint=False)
def request_refund(*, payment_id: UUID) -> None:
    """Nobody waits for this captured money any more: it is to be given back. Quiet when that is on its way or done."""
    payment = _locked(payment_id)
    if payment.state == CAPTURED and payment.refund_due_at is None:
        payment.change(refund_due_at=database_now())


@traced
@transaction.atomic(savepoint=False)
def settle_refund(*, payment_id: UUID, charge_id: str | None) -> None:
    """The provider has given back the charge, or says that there was none (None). Quiet when that is known already."""
    payment = _locked(payment_id)
    if payment.refund_due_at is None:
        return
    if charge_id is None:
        payment.change(refund_due_at=None)
        return
    _close(payment, "refund", "payment.refunded", charge_id=charge_id, refund_due_at=None)


@traced
@transaction.atomic(savepoint=False)
def postpone_refund(*, payment_id: UUID) -> None:
    """The provider did not answer: it is asked again later, for as long as it takes."""
    payment = _locked(payment_id)
    if payment.refund_due_at is not None:
        payment.change(refund_due_at=database_now() + REFUND_PAUSE)


def due_refunds(*, limit: int = 50) -> list[UUID]:
    """Payments whose money is to be given back now."""
    rows = Payment.objects.filter(refund_due_at__lte=ClockTimestamp()).order_by("refund_due_at", "id")
    return list(rows.values_list("id", flat=True)[:limit])


def due_payments(*, limit: int = 50) -> list[UUID]:
    """Payments that nobody is asking for and whose next question is due: lost leases and back-off."""
    due = Q(lease_until__lt=ClockTimestamp()) | Q(lease_until=None, next_try_at__lte=ClockTimestamp())
    rows = Payment.objects.filter(due, state=REQUESTED).order_by("next_try_at", "id")
    return list(rows.values_list("id", flat=True)[:limit])


def latest_payments(*, references: Iterable[UUID]) -> dict[UUID, Payment]:
    """The last attempt to be paid for each of these, where there is one."""
    rows = Payment.objects.filter(reference__in=list(references)).order_by("reference", "-attempt")
    return {payment.reference: payment for payment in rows.distinct("reference")}


def _locked(payment_id: UUID) -> Payment:
    (payment,) = read_rows(Payment, "WHERE id = %(id)s AND deleted IS NULL FOR NO KEY UPDATE", {"id": payment_id})
    return payment


def _close(payment: Payment, event: str, event_type: str, **values: Any) -> None:
    change_state(
        payment,
        event,
        actor=SYSTEM,
        at=database_now(),
        event_type=event_type,
        data={**_told(payment), **{name: values[name] for name in ("charge_id", "decline_code") if name in values}},
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
