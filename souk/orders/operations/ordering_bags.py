"""Turning a bag into an order: both happen in one transaction, or neither does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from django.db import transaction

from souk.accounts.models import User
from souk.bags.models import Bag, BagLine
from souk.bags.operations import BagEmpty, close_bag
from souk.kit.problem import VersionMismatch
from souk.kit.tracing import traced
from souk.orders.models import Order
from souk.orders.operations.placing import Line, place_order


@traced
@transaction.atomic(savepoint=False)
def order_bag(
    *,
    bag: Bag,
    lines: Sequence[BagLine],
    buyer: User,
    hold: timedelta,
    most_holds: int,
    prices: Mapping[UUID, tuple[int, str]] | None = None,
) -> Order:
    """Order what is in the bag, which comes from `lock_open_bag`; `lines` were read after that.

    With `prices` (minor units and currency by product) the order is placed at exactly these. Raises BagEmpty,
    VersionMismatch when a price has changed since, and what `place_order` raises; the bag stays as it was then.
    """
    if not lines:
        raise BagEmpty
    wanted = [Line(line.product_id, line.quantity, place) for place, line in enumerate(lines)]
    # The bag's row is to name the order's, so that one is written first.
    order = place_order(buyer=buyer, wanted=wanted, hold=hold, most_holds=most_holds, at_commit=False)
    # The prices were read before the order's own look at them: a seller may have been faster.
    if prices is not None and any(prices[line.product_id] != (line.unit_price, order.currency) for line in order.lines):
        raise VersionMismatch
    close_bag(bag=bag, order_id=order.pk)
    return order
