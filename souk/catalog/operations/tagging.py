"""Tags: the staff's verbs, and putting them on products."""

from __future__ import annotations

from uuid import UUID

from django.db import IntegrityError, connection, transaction

from souk.accounts.models import User
from souk.accounts.operations import note_act
from souk.catalog.models import Product, ProductTag, Tag
from souk.catalog.operations.selling import act_as
from souk.eventlog.operations import acting_user, database_now
from souk.kit.problem import NotFound, Refused, ValidationFailed
from souk.kit.tracing import traced

MOST_TAGS = 20


class TagExists(Refused):
    """Another tag has this name. 409."""

    advice = "Choose another name, or use the tag that is there."
    status, code, title = 409, "tag_exists", "There is such a tag already"


@traced
@transaction.atomic(savepoint=False)
def create_tag(*, name: str, description: str = "", staff: User | None = None) -> Tag:
    """Make a tag. `staff` is the member who does it, None for the operator. Raises TagExists."""
    now = database_now()
    tag = Tag(name=name, description=description, created=now, updated=now)
    _save(tag, force_insert=True)
    _note(tag, "tag.create", staff)
    return tag


@traced
@transaction.atomic(savepoint=False)
def change_tag(*, tag: Tag, name: str | None = None, description: str | None = None, staff: User | None = None) -> Tag:
    """Rename or describe a tag; products keep it, under its new name. `tag` comes from `lock_tag`. Raises TagExists."""
    tag.updated = database_now()
    tag.name = tag.name if name is None else name
    tag.description = tag.description if description is None else description
    _save(tag, update_fields=["name", "description", "updated"])
    _note(tag, "tag.change", staff)
    return tag


@traced
@transaction.atomic(savepoint=False)
def delete_tag(*, tag: Tag, staff: User | None = None) -> None:
    """Delete a tag and take it from every product. `tag` comes from `lock_tag`."""
    now = database_now()
    ProductTag.objects.filter(tag=tag).update(deleted=now, updated=now)
    tag.mark_deleted()
    _note(tag, "tag.delete", staff)


def lock_tag(*, name: str | None = None, tag_id: UUID | None = None) -> Tag:
    """The tag of this name or id, to be changed: nobody puts tags on products until the transaction ends.

    By its id where somebody decided by what a page showed: by then the name may be another tag's. Raises NotFound.
    """
    with connection.cursor() as cursor:
        # Before any row: whoever writes a product takes the shared side of this lock before its search row.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('souk.tags', 0))")
    asked = Tag.objects.filter(pk=tag_id) if name is None else Tag.objects.named([name])
    tag: Tag | None = asked.select_for_update(no_key=True).first()
    if tag is None:
        raise NotFound("There is no such tag.")
    return tag


def require_room(*, product: Product, tag: Tag) -> None:
    """Raises ValidationFailed when the product has all the tags it may have, and not this one."""
    worn = ProductTag.objects.filter(product=product)
    if worn.count() >= MOST_TAGS and not worn.filter(tag=tag).exists():
        raise ValidationFailed(f"A product has at most {MOST_TAGS} tags.")


@traced
@transaction.atomic(savepoint=False)
def tag_product(*, product: Product, seller: User, tag: Tag) -> None:
    """Put a tag on a product; repeatable. `product` comes from `lock_own_product`.

    Raises ValidationFailed for one tag too many.
    """
    require_room(product=product, tag=tag)
    if ProductTag.objects.filter(product=product, tag=tag).exists():
        return
    act_as(acting_user(seller.pk))
    ProductTag.objects.bulk_create([ProductTag(product=product, tag=tag)])
    product.change(version=product.version + 1, updated=database_now())


def known_tag(*, name: str) -> Tag:
    """The tag with this name. Raises NotFound."""
    tag: Tag | None = Tag.objects.named([name]).first()
    if tag is None:
        raise NotFound("There is no such tag.")
    return tag


@traced
@transaction.atomic(savepoint=False)
def untag_product(*, product: Product, seller: User, name: str) -> None:
    """Take a tag from a product; repeatable. `product` comes from `lock_own_product`."""
    now = database_now()
    act_as(acting_user(seller.pk))
    if ProductTag.objects.filter(product=product, tag__name=name).update(deleted=now, updated=now):
        product.change(version=product.version + 1, updated=now)


def fold_tag_uses() -> int:
    """Add up the noted differences of `products_count`; returns how many notes there were. For the clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT fold_tag_uses()")
        (folded,) = cursor.fetchone()
        return int(folded)


def _note(tag: Tag, act: str, staff: User | None) -> None:
    if staff is not None:
        note_act(staff=staff, act=act, target_type="tag", target_id=tag.pk, name=tag.name)


def _save(tag: Tag, *, force_insert: bool = False, update_fields: list[str] | None = None) -> None:
    try:
        with transaction.atomic():
            tag.save(force_insert=force_insert, update_fields=update_fields)
    except IntegrityError as error:
        raise TagExists from error
