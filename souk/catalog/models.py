"""Products and tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self
from uuid import UUID

from django.db import models
from django.db.models import CheckConstraint, F, Q, UniqueConstraint

from souk.accounts.models import User
from souk.catalog.machine import ACTIVE, ProductMachine
from souk.eventlog.models import LivingSubject
from souk.kit.entity import AllRows, Entity, EntityQuerySet, LiveRows
from souk.kit.machine import state_constraint
from souk.kit.money import LARGEST_AMOUNT

TAG_SHOWN = ("id", "name", "description", "products_count", "created", "updated")


class TagQuerySet(EntityQuerySet):
    """Tags."""

    def named(self, names: Iterable[str]) -> Self:
        """Those with these names."""
        return self.filter(name__in=names)

    def beginning(self, prefix: str) -> Self:
        """Those whose names begin so."""
        return self.filter(name__startswith=prefix) if prefix else self.all()

    def shown(self) -> models.QuerySet[Any, dict[str, Any]]:
        """Rows with everything that an answer shows."""
        rows: models.QuerySet[Any, dict[str, Any]] = self.values(*TAG_SHOWN)
        return rows


class Tag(Entity):
    """A word that staff allow sellers to sort their products by.

    `products_count` is how many products that everybody can see wear it, right within seconds: who changes products
    only notes the difference, so that they never wait for each other on a popular tag, and `fold_tag_uses` adds it up.
    """

    name = models.CharField(max_length=50)
    description = models.CharField(max_length=1000, blank=True)
    products_count = models.IntegerField(db_default=0, editable=False)

    all_objects: ClassVar[Any] = AllRows.from_queryset(TagQuerySet)()
    objects: ClassVar[Any] = LiveRows.from_queryset(TagQuerySet)()

    class Meta(Entity.Meta):
        constraints = [
            UniqueConstraint(fields=["name"], condition=Q(deleted__isnull=True), name="tag_name_once"),
            CheckConstraint(condition=Q(name__regex=r"^[a-z0-9]+(-[a-z0-9]+)*$"), name="tag_name_form"),
        ]
        indexes = [
            models.Index(
                F("products_count").desc(), "name", condition=Q(deleted__isnull=True), name="tag_most_used_first"
            ),
            models.Index(
                fields=["name"],
                opclasses=["varchar_pattern_ops"],
                condition=Q(deleted__isnull=True),
                name="tag_name_prefix",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ProductQuerySet(EntityQuerySet):
    """Products."""

    def visible_to(self, user_id: UUID | None) -> Self:
        """The live ones that this caller may see: ACTIVE ones of sellers in good standing, and their own."""
        public = Q(state=ACTIVE, seller__is_active=True, seller__deleted__isnull=True)
        return self.live().filter(public if user_id is None else public | Q(seller_id=user_id))

    def buyable(self, ids: Iterable[UUID]) -> Self:
        """Those of the ids that anybody may buy now. The stock row has the last word when an order is placed."""
        return self.visible_to(None).filter(id__in=ids)


class Product(LivingSubject):
    """A thing that a seller offers.

    `published_id` is a UUIDv7 drawn at the first activation: newest-first lists go by it, so that a draft made live
    months later is new that day. `version` counts the seller's edits (the first half of the ETag); sales do not touch
    it. Its events are written by a trigger, which also hears bulk SQL.
    """

    subject_type: ClassVar[str] = "product"
    machine = ProductMachine
    events_by_trigger = True

    seller = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    title = models.CharField(max_length=200)
    description = models.CharField(max_length=10_000, blank=True)
    price_amount = models.BigIntegerField()
    price_currency = models.CharField(max_length=3)
    images = models.JSONField(default=list)
    published_id = models.UUIDField(null=True, unique=True)
    version = models.IntegerField(default=1)
    external_id = models.CharField(max_length=200, null=True)  # noqa: DJ001  # null: not made by an import

    all_objects: ClassVar[Any] = AllRows.from_queryset(ProductQuerySet)()
    objects: ClassVar[Any] = LiveRows.from_queryset(ProductQuerySet)()

    class Meta(LivingSubject.Meta):
        constraints = [
            state_constraint(ProductMachine, "product_state"),
            CheckConstraint(
                condition=Q(price_amount__gte=0, price_amount__lte=LARGEST_AMOUNT), name="product_price_in_range"
            ),
            CheckConstraint(
                condition=~Q(state=ACTIVE) | Q(published_id__isnull=False), name="product_active_is_published"
            ),
            UniqueConstraint(
                fields=["seller", "external_id"], condition=Q(deleted__isnull=True), name="product_external_id_once"
            ),
        ]
        indexes = [
            models.Index(
                F("published_id").desc(), condition=Q(state=ACTIVE, deleted__isnull=True), name="product_newest"
            ),
            models.Index(
                "seller", F("published_id").desc(), condition=Q(deleted__isnull=True), name="product_newest_of_seller"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class ProductTag(Entity):
    """That a product carries a tag."""

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+", db_index=False)
    tag = models.ForeignKey(Tag, on_delete=models.PROTECT, related_name="+")

    class Meta(Entity.Meta):
        constraints = [
            UniqueConstraint(fields=["product", "tag"], condition=Q(deleted__isnull=True), name="product_tag_once")
        ]
