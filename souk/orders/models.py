"""Orders and their lines, which are snapshots."""

from __future__ import annotations

from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import CheckConstraint, F, Q, UniqueConstraint

from souk.accounts.models import User
from souk.catalog.models import Product
from souk.eventlog.models import LivingSubject
from souk.kit.entity import AllRows, Entity, EntityQuerySet, LiveRows
from souk.kit.machine import state_constraint
from souk.orders.machine import PENDING, OrderMachine


class OrderQuerySet(EntityQuerySet):
    """Orders."""

    def visible_to(self, user_id: UUID) -> Self:
        """The buyer's own."""
        return self.live().filter(buyer_id=user_id)


class Order(LivingSubject):
    """What a buyer wants from one or several sellers, at the prices of the moment it was placed.

    `expires_at` comes from the database's clock and never changes. Money in minor units of `currency`.
    """

    subject_type: ClassVar[str] = "order"
    machine = OrderMachine

    buyer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=3)
    total = models.BigIntegerField()
    expires_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=32, null=True)  # noqa: DJ001  # null: it did not fail

    all_objects: ClassVar[Any] = AllRows.from_queryset(OrderQuerySet)()
    objects: ClassVar[Any] = LiveRows.from_queryset(OrderQuerySet)()

    class Meta(LivingSubject.Meta):
        constraints = [state_constraint(OrderMachine, "order_state")]
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(state=PENDING), name="order_due"),
            models.Index("buyer", F("id").desc(), name="order_newest_of_buyer"),
            models.Index(fields=["buyer"], condition=Q(state=PENDING), name="order_pending_of_buyer"),
        ]


class OrderLine(Entity):
    """One product of an order: title, price and seller as they were when it was placed."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+", db_index=False)
    number = models.SmallIntegerField()
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+", db_index=False)
    seller = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    seller_username = models.CharField(max_length=32)
    seller_display_name = models.CharField(max_length=100, blank=True)
    title = models.CharField(max_length=200)
    unit_price = models.BigIntegerField()
    quantity = models.IntegerField()

    class Meta(Entity.Meta):
        constraints = [
            UniqueConstraint(fields=["order", "number"], name="order_line_number_once"),
            UniqueConstraint(fields=["order", "product"], name="order_line_product_once"),
            CheckConstraint(condition=Q(quantity__gte=1), name="order_line_quantity_positive"),
        ]
        indexes = [models.Index("seller", F("order").desc(), name="order_line_newest_of_seller")]
