"""A seller's verbs: create, change, activate, archive and delete their own products."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from souk.accounts.models import User
from souk.catalog.machine import ACTIVE, DRAFT
from souk.catalog.models import Product, ProductTag, Tag
from souk.eventlog.operations import Actor, acting_staff, acting_user, append_history, change_state, database_now
from souk.kit.context import current_traceparent
from souk.kit.entity import new_id
from souk.kit.money import Money
from souk.kit.problem import Forbidden, NotFound, ValidationFailed
from souk.kit.tracing import traced
from souk.stock.operations import count_stock, open_stock, set_for_sale


class UnknownTags(ValidationFailed):
    """Some tags do not exist: staff makes them. 400, one error per unknown tag."""

    def __init__(self, asked: Sequence[str], known: Iterable[str]) -> None:
        found = set(known)
        super().__init__(
            errors=[
                {"pointer": f"/tags/{place}", "code": "unknown", "detail": "There is no such tag."}
                for place, name in enumerate(asked)
                if name not in found
            ]
        )


@traced
@transaction.atomic(savepoint=False)
def create_product(
    *,
    seller: User,
    title: str,
    description: str,
    price: Money,
    stock: int,
    tags: Sequence[str] = (),
    images: Sequence[dict[str, Any]] = (),
    state: str = ACTIVE,
) -> Product:
    """Offer a new product, with its first stock. Raises UnknownTags."""
    actor = act_as(acting_user(seller.pk))
    wanted = tags_named(tags)
    now = database_now()
    product = Product(
        seller=seller,
        title=title,
        description=description,
        price_amount=price.amount,
        price_currency=price.currency,
        images=list(images),
        state=state,
        published_id=None if state == DRAFT else new_id(),
        created=now,
        updated=now,
    )
    product.save(force_insert=True)
    append_history(product, source=None, event="create", actor=actor, at=now)
    ProductTag.objects.bulk_create([ProductTag(product=product, tag=tag) for tag in wanted])
    open_stock(product_id=product.pk, owner_id=seller.pk, on_hand=stock, for_sale=state == ACTIVE, actor=str(actor))
    return product


@traced
@transaction.atomic(savepoint=False)
def change_product(
    *,
    product: Product,
    seller: User,
    tags: Sequence[str] | None = None,
    stock: int | None = None,
    price: Money | None = None,
    **values: Any,
) -> Product:
    """Change what was sent of title, description, price, images; `tags` replaces all, `stock` is what was counted.

    `product` comes from `lock_own_product`. Raises UnknownTags, StockBelowReserved.
    """
    actor = act_as(acting_user(seller.pk))
    if price is not None:
        values |= {"price_amount": price.amount, "price_currency": price.currency}
    wanted = None if tags is None else tags_named(tags)
    if wanted is not None:
        _replace_tags(product, wanted)
    if values or wanted is not None:
        product.change(version=product.version + 1, updated=database_now(), **values)
    if stock is not None:
        count_stock(product_id=product.pk, on_hand=stock, actor=str(actor))
    return product


@traced
@transaction.atomic(savepoint=False)
def activate_product(*, product: Product, seller: User) -> Product:
    """Show the product and let it be bought. Its first activation is when it is new. Raises IllegalTransition."""
    return _move(product, "activate", act_as(acting_user(seller.pk)), for_sale=True)


@traced
@transaction.atomic(savepoint=False)
def archive_product(*, product: Product, seller: User) -> Product:
    """Take the product out of sight and sale; holds that exist stand. Raises IllegalTransition."""
    return _move(product, "archive", act_as(acting_user(seller.pk)), for_sale=False)


@traced
@transaction.atomic(savepoint=False)
def archive_for_market(*, product_id: UUID, staff: User) -> Product:
    """Take anybody's product out of sight and sale, by a member of the staff. Raises NotFound, IllegalTransition."""
    product: Product | None = Product.objects.select_for_update(no_key=True).filter(pk=product_id).first()
    if product is None:
        raise NotFound
    return _move(product, "archive", act_as(acting_staff(staff.pk)), for_sale=False)


@traced
@transaction.atomic(savepoint=False)
def delete_product(*, product: Product, seller: User) -> None:
    """Delete the product; no new hold can be taken from this moment, holds that exist stand until their order ends."""
    act_as(acting_user(seller.pk))
    product.mark_deleted()
    set_for_sale(product_id=product.pk, for_sale=False)


def lock_own_product(*, product_id: UUID, seller: User) -> Product:
    """The seller's product, locked until the transaction ends.

    Raises NotFound for what the seller cannot see, Forbidden for somebody else's.
    """
    see_own_product(product_id=product_id, seller=seller)
    locked: Product | None = Product.objects.select_for_update(no_key=True).filter(pk=product_id).first()
    if locked is None:
        raise NotFound
    return locked


def see_own_product(*, product_id: UUID, seller: User) -> None:
    """Raises NotFound for what the seller cannot see, Forbidden for somebody else's product."""
    product: Product | None = Product.objects.visible_to(seller.pk).filter(pk=product_id).first()
    if product is None:
        raise NotFound
    if product.seller_id != seller.pk:
        raise Forbidden("This product is somebody else's.")


def _move(product: Product, event: str, actor: Actor, *, for_sale: bool) -> Product:
    first: dict[str, Any] = {"published_id": new_id()} if event == "activate" and product.published_id is None else {}
    change_state(product, event, actor=actor, at=database_now(), version=product.version + 1, **first)
    set_for_sale(product_id=product.pk, for_sale=for_sale)
    return product


def act_as(actor: Actor) -> Actor:
    """Tell the triggers of this transaction who acts, and for which trace."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('souk.actor', %s, true), set_config('souk.traceparent', %s, true)",
            [str(actor), current_traceparent() or ""],
        )
    return actor


def tags_named(names: Sequence[str]) -> list[Tag]:
    """The tags with these names. Raises UnknownTags."""
    tags: list[Tag] = list(Tag.objects.named(names)) if names else []
    if len(tags) < len(set(names)):
        raise UnknownTags(names, (tag.name for tag in tags))
    return tags


def _replace_tags(product: Product, wanted: Sequence[Tag]) -> None:
    present = {row.tag_id: row for row in ProductTag.objects.filter(product=product)}
    for tag_id in present.keys() - {tag.pk for tag in wanted}:
        present[tag_id].mark_deleted()
    ProductTag.objects.bulk_create([ProductTag(product=product, tag=tag) for tag in wanted if tag.pk not in present])
