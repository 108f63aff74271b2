"""Counters, holds and the ledger that must sum to the counters.

The SQL functions in this room's migrations are the only writers of the three tables (and the import, which only adds
new rows).
"""

from __future__ import annotations

from django.db import models
from django.db.models import CheckConstraint, F, Q

from souk.eventlog.models import ClockTimestamp, Uuid7
from souk.kit.entity import new_id


class Stock(models.Model):
    """What is on hand and what of it is held. One row per product, its own table so that orders lock no product."""

    product_id = models.UUIDField(primary_key=True)
    owner_id = models.UUIDField()
    on_hand = models.IntegerField()
    reserved = models.IntegerField(db_default=0)
    for_sale = models.BooleanField()
    # Counts every change of the counters: the second half of a product's ETag.
    version = models.BigIntegerField(db_default=1)
    # Numbers the product's events. It stands here because an order that sells the last one must tell so while it holds
    # this row's lock, and may not lock the product any more; the event of the product's creation is number 1.
    last_sequence = models.BigIntegerField(db_default=1)

    class Meta:
        constraints = [
            CheckConstraint(condition=Q(reserved__gte=0) & Q(reserved__lte=F("on_hand")), name="stock_reserved_fits")
        ]


class Hold(models.Model):
    """Units kept for one order until a moment, `infinity` once it is confirmed. Bookkeeping: really deleted."""

    pk = models.CompositePrimaryKey("product_id", "order_id")
    product_id = models.UUIDField()
    order_id = models.UUIDField()
    quantity = models.IntegerField()
    until = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["product_id", "until"], name="hold_due"),
            models.Index(fields=["order_id"], name="hold_of_order"),
        ]


class MovementKind(models.TextChoices):
    RECEIVED = "received"
    CORRECTION = "correction"
    HOLD = "hold"
    RELEASE = "release"
    SALE = "sale"


class Movement(models.Model):
    """One line of the ledger: what one cause changed. Append-only; the sums per product are the counters."""

    id = models.UUIDField(primary_key=True, default=new_id, db_default=Uuid7())
    product_id = models.UUIDField()
    order_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=16, choices=MovementKind)
    d_on_hand = models.IntegerField()
    d_reserved = models.IntegerField()
    reason = models.CharField(max_length=16, null=True)  # noqa: DJ001  # null: orders have no reason to give
    note = models.CharField(max_length=500, null=True)  # noqa: DJ001  # null: nobody wrote one
    actor = models.CharField(max_length=64, null=True)  # noqa: DJ001  # null: the order's own actor
    at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [CheckConstraint(condition=Q(kind__in=MovementKind.values), name="movement_kind")]
        indexes = [models.Index(fields=["product_id", "-id"], name="movement_newest")]
