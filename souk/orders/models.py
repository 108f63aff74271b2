"""Orders and their lines, which are snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import CheckConstraint, F, Q, UniqueConstraint

from souk.accounts.models import User
from souk.catalog.models import Product
from souk.eventlog.models import ClockTimestamp, LivingSubject
from souk.kit.entity import AllRows, Entity, EntityQuerySet, LiveRows, read_rows
from souk.kit.machine import state_constraint
from souk.orders.machine import PENDING, OrderMachine
from souk.payments.models import Payment


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

    @cached_property
    def lines(self) -> list[OrderLine]:
        """The lines, in order. Who has read or made them already sets them here."""
        return read_rows(OrderLine, "WHERE order_id = %(id)s AND deleted IS NULL ORDER BY number", {"id": self.pk})

    @cached_property
    def payment(self) -> Payment | None:
        """The last attempt to be paid. Who has read or made it already sets it here."""
        found = read_rows(
            Payment,
            "WHERE reference = %(id)s AND deleted IS NULL ORDER BY attempt DESC LIMIT 1",
            {"id": self.pk},
        )
        return found[0] if found else None

    @property
    def audience(self) -> list[UUID]:
        """Who hears of it: the buyer and every seller of a line."""
        return [self.buyer_id, *(line.seller_id for line in self.lines)]

    @classmethod
    def data_seen_by(cls, viewer_id: UUID, told: Sequence[tuple[UUID, Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
        """All of it and all lines for the buyer; for a seller the state, and their lines and the sum of these alone."""
        ids = {order_id for order_id, _ in told}
        orders = {order.pk: order for order in cls.all_objects.filter(pk__in=ids)}
        lines: dict[UUID, list[OrderLine]] = {}
        for line in OrderLine.all_objects.filter(order_id__in=ids).order_by("order_id", "number"):
            lines.setdefault(line.order_id, []).append(line)
        return [orders[order_id]._data_seen_by(viewer_id, data, lines[order_id]) for order_id, data in told]

    def _data_seen_by(self, viewer_id: UUID, data: Mapping[str, Any], lines: Sequence[OrderLine]) -> Mapping[str, Any]:
        if viewer_id == self.buyer_id:
            return {**data, "lines": [line.told(self.currency) for line in lines]}
        theirs = [line for line in lines if line.seller_id == viewer_id]
        total = sum(line.unit_price * line.quantity for line in theirs)
        return {
            "state": data["state"],
            "total": {"amount": total, "currency": self.currency},
            "lines": [line.told(self.currency) for line in theirs],
        }


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

    def told(self, currency: str) -> dict[str, Any]:
        """The line as events tell it: the fields that the order's own answer has."""
        return {
            "product_id": self.product_id,
            "seller": {
                "id": self.seller_id,
                "username": self.seller_username,
                "display_name": self.seller_display_name,
            },
            "title": self.title,
            "unit_price": {"amount": self.unit_price, "currency": currency},
            "quantity": self.quantity,
            "line_total": {"amount": self.unit_price * self.quantity, "currency": currency},
        }


class BookCheck(models.Model):
    """What the last comparison of all books found, in its only row: how many products drift."""

    id = models.SmallIntegerField(primary_key=True)
    drifting = models.IntegerField()
    at = models.DateTimeField(db_default=ClockTimestamp())
