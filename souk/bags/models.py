"""Bags and their lines."""

from __future__ import annotations

from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import CheckConstraint, F, OuterRef, Q, Subquery, UniqueConstraint

from souk.accounts.models import User
from souk.bags.machine import OPEN, BagMachine
from souk.catalog.models import Product
from souk.eventlog.models import LivingSubject
from souk.kit.entity import AllRows, Entity, EntityQuerySet, LiveRows
from souk.kit.machine import state_constraint
from souk.stock.models import Stock


class BagQuerySet(EntityQuerySet):
    """Bags."""

    def open_of(self, owner_id: UUID) -> Self:
        """The one open bag of this user, if there is one."""
        return self.live().filter(owner_id=owner_id, state=OPEN)


class Bag(LivingSubject):
    """What a user means to buy. It reserves nothing and tells no events; one per user is open.

    `version` counts the changes of its lines; `order_id` is the order that it became.
    """

    subject_type: ClassVar[str] = "bag"
    machine = BagMachine

    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    version = models.BigIntegerField(default=1)
    order_id = models.UUIDField(null=True)

    all_objects: ClassVar[Any] = AllRows.from_queryset(BagQuerySet)()
    objects: ClassVar[Any] = LiveRows.from_queryset(BagQuerySet)()

    class Meta(LivingSubject.Meta):
        constraints = [
            state_constraint(BagMachine, "bag_state"),
            UniqueConstraint(fields=["owner"], condition=Q(state=OPEN, deleted__isnull=True), name="bag_one_open"),
        ]
        indexes = [models.Index(fields=["updated"], condition=Q(state=OPEN), name="bag_untouched")]


class BagLineQuerySet(EntityQuerySet):
    """Lines of bags."""

    def shown(self, bag_id: UUID) -> Self:
        """The live lines of a bag as they came, each with its product, seller and stock as of now."""
        stock = Stock.objects.filter(product_id=OuterRef("product_id"))
        return (
            self.live()
            .filter(bag_id=bag_id)
            .select_related("product__seller")
            .annotate(
                unreserved=Subquery(stock.annotate(left=F("on_hand") - F("reserved")).values("left")),
                for_sale=Subquery(stock.values("for_sale")),
            )
            .order_by("id")
        )


class BagLine(Entity):
    """A product in a bag. The price is the one that was shown when the line was last set, in minor units."""

    bag = models.ForeignKey(Bag, on_delete=models.PROTECT, related_name="+", db_index=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+", db_index=False)
    quantity = models.IntegerField()
    price_amount = models.BigIntegerField()
    price_currency = models.CharField(max_length=3)

    all_objects: ClassVar[Any] = AllRows.from_queryset(BagLineQuerySet)()
    objects: ClassVar[Any] = LiveRows.from_queryset(BagLineQuerySet)()

    class Meta(Entity.Meta):
        constraints = [
            UniqueConstraint(
                fields=["bag", "product"], condition=Q(deleted__isnull=True), name="bag_line_product_once"
            ),
            CheckConstraint(condition=Q(quantity__gte=1, quantity__lte=1000), name="bag_line_quantity_in_range"),
        ]
