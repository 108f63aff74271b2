"""The operations against a model of ten lines: stock, orders, time. Hypothesis looks for a story in which they differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule, run_state_machine_as_test

from bench.serving import make_callers, make_products
from souk.accounts.models import User
from souk.kit.machine import IllegalTransition
from souk.orders.operations import (
    Line,
    accept_order,
    cancel_order,
    confirm_order,
    expire_due_orders,
    place_order,
    take_back_order,
)
from souk.orders.operations.confirming import OrderExpired
from souk.orders.operations.locking import lock_own_order
from souk.orders.operations.placing import OutOfStock
from souk.payments.operations import capture_payment, decline_payment
from souk.stock.operations import StockBelowReserved, count_stock
from tests.books import assert_books_agree, let_deadline_pass, rows_of
from tests.conftest import empty_tables

PRODUCTS = 3


@dataclass
class Modelled:
    """What an order must be: its units by product, its state, whether its deadline has passed, whether it still holds."""

    wanted: dict[int, int]
    state: str = "PENDING_CONFIRMATION"
    late: bool = False
    holding: bool = True


class Shop(RuleBasedStateMachine):
    """Every step is done to Souk and to the model; afterwards both say the same."""

    orders = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        empty_tables()
        seller, buyer = make_callers(1, "seller")[0], make_callers(1, "buyer")[0]
        self.buyer = User.objects.get(pk=buyer.id)
        self.products = make_products(PRODUCTS, seller, stock=5)
        self.on_hand = [5] * PRODUCTS
        self.known: dict[UUID, Modelled] = {}

    def held(self, product: int) -> int:
        """Units that the model holds of a product."""
        return sum(one.wanted.get(product, 0) for one in self.known.values() if one.holding)

    @rule(
        target=orders,
        wanted=st.dictionaries(st.integers(0, PRODUCTS - 1), st.integers(1, 3), min_size=1),
    )
    def place(self, wanted: dict[int, int]) -> Any:
        """Due holds of these products are gone first; then all lines are held, or none."""
        for one in self.known.values():
            if one.late and one.state == "PENDING_CONFIRMATION":
                # Only holds of wanted products are looked at, and only those of an order that succeeds stay released.
                one.holding = one.holding and not (set(one.wanted) & set(wanted) and self._would_fit(wanted))
        lines = [Line(self.products[product], units, place) for place, (product, units) in enumerate(wanted.items())]
        fits = self._would_fit(wanted)
        with transaction.atomic():
            try:
                with transaction.atomic():
                    order = place_order(buyer=self.buyer, wanted=lines, hold=timedelta(minutes=5), most_holds=1000)
            except OutOfStock:
                assert not fits
                return multiple()
        assert fits
        self.known[order.pk] = Modelled(dict(wanted))
        return order.pk
