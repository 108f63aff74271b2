"""What a seller tells of their stock."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from souk.accounts.models import User
from souk.catalog.models import Product
from souk.catalog.operations.selling import act_as
from souk.eventlog.operations import acting_user
from souk.kit.problem import ValidationFailed
from souk.kit.tracing import traced
from souk.stock.models import Stock
from souk.stock.operations import Reason, move_stock

LARGEST_STOCK = 1_000_000


@traced
@transaction.atomic(savepoint=False)
def correct_stock(*, product: Product, seller: User, change: int, reason: Reason, note: str | None) -> UUID:
    """Add to (or take from) what is on hand; returns the movement's id. `product` comes from `lock_own_product`.

    Raises StockBelowReserved, and ValidationFailed when more than a million would be on hand.
    """
    actor = act_as(acting_user(seller.pk))
    # Under the product's lock what is on hand can only fall.
    (on_hand,) = Stock.objects.filter(product_id=product.pk).values_list("on_hand", flat=True)
    if on_hand + change > LARGEST_STOCK:
        error = {"pointer": "/change", "code": "invalid", "detail": f"At most {LARGEST_STOCK} can be on hand."}
        raise ValidationFailed(errors=[error])
    return move_stock(product_id=product.pk, change=change, reason=reason, note=note, actor=str(actor))
