"""Payments: one row per attempt to be paid."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import CheckConstraint, Q, UniqueConstraint

from souk.eventlog.models import LivingSubject
from souk.kit.entity import AllRows, EntityQuerySet, LiveRows
from souk.kit.machine import state_constraint
from souk.payments.machine import REQUESTED, PaymentMachine


class Payment(LivingSubject):
    """One attempt. Its id is the idempotency key towards the provider.

    `reference` is what it is for (opaque here), `attempt` counts the attempts for that reference from 1. A worker that
    asks the provider holds the lease until `lease_until`; `tries` counts its questions, `next_try_at` is the back-off.
    `refund_due_at` is when the provider is told to give the money back, null when it is not.
    """

    subject_type: ClassVar[str] = "payment"
    machine = PaymentMachine

    reference = models.UUIDField()
    attempt = models.IntegerField()
    payer_id = models.UUIDField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    token = models.CharField(max_length=100)
    charge_id = models.CharField(max_length=100, null=True)  # noqa: DJ001  # null: nothing was charged
    decline_code = models.CharField(max_length=64, null=True)  # noqa: DJ001  # null: it was not declined
    tries = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    next_try_at = models.DateTimeField(null=True)
    refund_due_at = models.DateTimeField(null=True)

    all_objects: ClassVar[Any] = AllRows.from_queryset(EntityQuerySet)()
    objects: ClassVar[Any] = LiveRows.from_queryset(EntityQuerySet)()

    class Meta(LivingSubject.Meta):
        constraints = [
            state_constraint(PaymentMachine, "payment_state"),
            UniqueConstraint(fields=["reference", "attempt"], name="payment_attempt_once"),
            UniqueConstraint(fields=["reference"], condition=Q(state=REQUESTED), name="payment_one_at_a_time"),
            CheckConstraint(condition=Q(amount__gte=0), name="payment_amount_not_negative"),
        ]
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(state=REQUESTED), name="payment_to_be_asked"),
            models.Index(
                fields=["refund_due_at"], condition=Q(refund_due_at__isnull=False), name="payment_to_be_refunded"
            ),
        ]


class ProviderCharge(models.Model):
    """The stand-in provider's own book: what it charged under which key. Written by `gateway.py` alone."""

    key = models.UUIDField(primary_key=True)
    charge_id = models.CharField(max_length=100)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    refunded = models.BooleanField(default=False)
