"""Filling and emptying a bag, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db import IntegrityError, transaction

from souk.accounts.models import User
from souk.bags.models import Bag, BagLine
from souk.catalog.models import Product
from souk.eventlog.operations import SYSTEM, acting_user, begin_life, change_state, database_now
from souk.kit.machine import initial_state
from souk.kit.problem import NotFound, Refused, ValidationFailed, sqlstate_of
from souk.kit.tracing import traced

MOST_LINES = 100
UNIQUE_VIOLATION = "23505"
# A bag that nobody touched for so long is given up.
UNTOUCHED = timedelta(days=90)


class BagEmpty(Refused):
    """There is nothing in the bag to order."""

    advice = "Put something in: `PUT /bag/lines/{product_id}`."
    status, code, title = 409, "bag_empty", "The bag is empty"


class TooManyLines(ValidationFailed):
    """A bag has room for 100 products. 400."""

    def __init__(self) -> None:
        detail = f"A bag takes at most {MOST_LINES} products."
        super().__init__(errors=[{"pointer": "", "code": "too_many_lines", "detail": detail}])


def open_bag(*, owner: User) -> Bag:
    """The owner's open bag; made when there is none."""
    while True:
        bag: Bag | None = Bag.objects.open_of(owner.pk).first() or _new_bag(owner)
        if bag is not None:
            return bag


def lock_open_bag(*, owner: User) -> Bag:
    """The owner's open bag, locked until the transaction ends; made when there is none.

    Whoever changes or orders a bag locks it first, so that changes come one after the other and none is lost.
    """
    while True:
        # A bag that was ordered while we waited for its lock is no longer found: then there is a new one, or none.
        bag: Bag | None = Bag.objects.open_of(owner.pk).select_for_update(no_key=True).first()
        if bag is not None:
            return bag
        _new_bag(owner)


def visible_product(*, product_id: UUID, owner: User) -> Product:
    """The product, as far as the owner may see it. Raises NotFound."""
    product: Product | None = Product.objects.visible_to(owner.pk).filter(pk=product_id).first()
    if product is None:
        raise NotFound
    return product


def require_room(*, bag: Bag, product: Product) -> None:
    """Raises TooManyLines when the bag is full and the product is not in it."""
    lines = BagLine.objects.filter(bag=bag)
    if lines.count() >= MOST_LINES and not lines.filter(product=product).exists():
        raise TooManyLines


@traced
@transaction.atomic(savepoint=False)
def set_line(*, bag: Bag, product: Product, quantity: int) -> None:
    """Put so many of the product into the bag, instead of what there is of it. Nothing is reserved.

    The bag comes from `lock_open_bag`. Raises TooManyLines.
    """
    values = {
        "quantity": quantity,
        "price_amount": product.price_amount,
        "price_currency": product.price_currency,
    }
    require_room(bag=bag, product=product)
    line: BagLine | None = BagLine.objects.filter(bag=bag, product=product).first()
    if line is not None:
        line.change(**values)
    else:
        BagLine(bag=bag, product=product, **values).save(force_insert=True)
    _touch(bag)


@traced
@transaction.atomic(savepoint=False)
def remove_line(*, bag: Bag, product_id: UUID) -> None:
    """Take the product out of the bag, if it is in there. The bag comes from `lock_open_bag`."""
    _remove(bag, BagLine.objects.filter(bag=bag, product_id=product_id))


@traced
@transaction.atomic(savepoint=False)
def empty_bag(*, bag: Bag) -> None:
    """Take everything out of the bag, which comes from `lock_open_bag`."""
    _remove(bag, BagLine.objects.filter(bag=bag))


@traced
@transaction.atomic(savepoint=False)
def close_bag(*, bag: Bag, order_id: UUID) -> None:
    """The bag has become this order. It comes from `lock_open_bag`; the lines stay as they were."""
    change_state(
        bag, "order", actor=acting_user(bag.owner_id), at=database_now(), order_id=order_id, version=bag.version + 1
    )


@traced
@transaction.atomic
def abandon_untouched_bags(*, limit: int = 50, untouched: timedelta = UNTOUCHED) -> int:
    """Give up open bags that nobody changed for so long; returns how many. A duty of the clock.

    Bags that somebody works on are left for the next round, so that several clocks do no harm.
    """
    now = database_now()
    old = Bag.objects.filter(state=initial_state(Bag.machine), updated__lt=now - untouched)
    bags: list[Bag] = list(old.order_by("updated").select_for_update(no_key=True, skip_locked=True)[:limit])
    for bag in bags:
        change_state(bag, "abandon", actor=SYSTEM, at=now)
    return len(bags)


def _new_bag(owner: User) -> Bag | None:
    """A bag that was just opened; None when somebody was faster. Theirs may be ordered already: look again."""
    now = database_now()
    bag = Bag(owner=owner, state=initial_state(Bag.machine), created=now, updated=now)
    try:
        with transaction.atomic():
            begin_life(bag, "open", actor=acting_user(owner.pk), at=now)
    except IntegrityError as refused:
        if sqlstate_of(refused) != UNIQUE_VIOLATION:
            raise
        return None
    return bag


def _remove(bag: Bag, lines: Iterable[BagLine]) -> None:
    present = list(lines)
    for line in present:
        line.mark_deleted()
    if present:
        _touch(bag)


def _touch(bag: Bag) -> None:
    bag.change(version=bag.version + 1, updated=database_now())
