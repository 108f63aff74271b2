"""The operations against a small model of stock, orders and time. Hypothesis looks for a story in which they differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test

from bench.serving import make_callers, make_products
from souk.accounts.models import User
from souk.kit.machine import IllegalTransition
from souk.kit.problem import Refused
from souk.orders.models import Order
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
from souk.payments.gateway import charge
from souk.payments.operations import capture_payment, decline_payment
from souk.stock.operations import StockBelowReserved, count_stock
from tests.books import assert_books_agree, let_deadline_pass, rows_of
from tests.conftest import empty_tables

PRODUCTS = 3
PENDING, CONFIRMED, ACCEPTED = "PENDING_CONFIRMATION", "CONFIRMED", "ACCEPTED"
NOT_CONFIRMED, CANCELLED = "NOT_CONFIRMED", "CANCELLED"


@dataclass
class Modelled:
    """What an order must be: its state, the units it still holds by product, and whether its deadline has passed."""

    state: str
    holds: dict[int, int]
    late: bool = False

    @property
    def is_due(self) -> bool:
        return self.late and self.state == PENDING


class Shop(RuleBasedStateMachine):
    """Every step is done to Souk and to the model; after each, both say the same."""

    orders = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        empty_tables()
        (seller,), (buyer,) = make_callers(1, f"s{uuid4().hex[:8]}"), make_callers(1, f"b{uuid4().hex[:8]}")
        self.buyer = User.objects.get(pk=buyer.id)
        self.products = make_products(PRODUCTS, seller, stock=5)
        self.on_hand = [5] * PRODUCTS
        self.known: dict[UUID, Modelled] = {}

    def held(self, product: int, *, due: bool) -> int:
        """Units of a product that the orders hold; with those that are due, or without."""
        return sum(one.holds.get(product, 0) for one in self.known.values() if due or not one.is_due)

    @rule(target=orders, wanted=st.dictionaries(st.integers(0, PRODUCTS - 1), st.integers(1, 3), min_size=1))
    def place(self, wanted: dict[int, int]) -> Any:
        """All lines are held or none, and holds that are due stand in nobody's way."""
        fits = all(self.on_hand[one] - self.held(one, due=False) >= units for one, units in wanted.items())
        lines = [Line(self.products[one], units, place) for place, (one, units) in enumerate(wanted.items())]
        placed = refused_with(
            lambda: place_order(buyer=self.buyer, wanted=lines, hold=timedelta(minutes=5), most_holds=1000)
        )
        if not fits:
            assert isinstance(placed, OutOfStock)
            return multiple()
        for other in (one for one in self.known.values() if one.is_due):
            other.holds = {one: units for one, units in other.holds.items() if one not in wanted}
        self.known[placed.pk] = Modelled(PENDING, dict(wanted))
        return placed.pk

    @rule(order_id=orders)
    def let_time_pass(self, order_id: UUID) -> None:
        """The deadline of a pending order passes."""
        if self.known[order_id].state == PENDING:
            let_deadline_pass(str(order_id))
            self.known[order_id].late = True

    @rule(order_id=orders)
    def confirm(self, order_id: UUID) -> None:
        """In time it is confirmed, and never afterwards."""
        one = self.known[order_id]
        self.same_end(one, order_id, lambda order: confirm_order(order=order, token="tok_ok"), CONFIRMED)

    @rule(order_id=orders)
    def cancel(self, order_id: UUID) -> None:
        """In time it is cancelled and holds nothing; never afterwards."""
        one = self.known[order_id]
        if self.same_end(one, order_id, lambda order: cancel_order(order=order), CANCELLED):
            one.holds = {}

    def same_end(self, one: Modelled, order_id: UUID, verb: Callable[[Order], Order], state: str) -> bool:
        """Do it; whether it was possible, which the model must have known."""
        heard = refused_with(lambda: verb(lock_own_order(order_id=order_id, buyer=self.buyer)))
        if one.state == PENDING and not one.late:
            assert not isinstance(heard, Refused)
            one.state = state
            return True
        late = one.late and one.state in (PENDING, NOT_CONFIRMED) and self.reason_of(order_id) != "payment_declined"
        assert isinstance(heard, OrderExpired if late else IllegalTransition)
        return False

    @staticmethod
    def reason_of(order_id: UUID) -> str | None:
        ((reason,),) = rows_of("SELECT reason FROM orders_order WHERE id = %s", order_id)
        return None if reason is None else str(reason)

    @rule()
    def tick(self) -> None:
        """The clock closes what is due and nothing else."""
        due = [one for one in self.known.values() if one.is_due]
        assert expire_due_orders() == len(due)
        for one in due:
            one.state, one.holds = NOT_CONFIRMED, {}

    @rule(order_id=orders, late=st.booleans(), times=st.integers(1, 2))
    def decline(self, order_id: UUID, late: bool, times: int) -> None:
        """A declined payment takes the order back while there is time, and ends it otherwise."""
        one = self.known[order_id]
        if one.state != CONFIRMED:
            return
        if late:
            let_deadline_pass(str(order_id))
        payment_id = last_payment(order_id)
        for _ in range(times):
            decline_payment(payment_id=payment_id, code="card_declined")
            take_back_order(order_id=order_id, payment_id=payment_id, code="card_declined")
        one.state, one.late = (NOT_CONFIRMED, True) if late else (PENDING, False)
        one.holds = {} if late else one.holds

    @rule(order_id=orders, times=st.integers(1, 2))
    def pay(self, order_id: UUID, times: int) -> None:
        """A captured payment sells what is held, once, however often it is heard."""
        one = self.known[order_id]
        if one.state != CONFIRMED:
            return
        payment_id = last_payment(order_id)
        charge(key=payment_id, token="tok_ok", amount=1, currency="EUR")
        for _ in range(times):
            capture_payment(payment_id=payment_id, charge_id="ch_1")
            accept_order(order_id=order_id, payment_id=payment_id)
        for product, units in one.holds.items():
            self.on_hand[product] -= units
        one.state, one.holds = ACCEPTED, {}

    @rule(product=st.integers(0, PRODUCTS - 1), units=st.integers(0, 8))
    def count(self, product: int, units: int) -> None:
        """What is counted is on hand from now on, unless more is held."""
        heard = refused_with(lambda: count_stock(product_id=self.products[product], on_hand=units, actor="system"))
        if units < self.held(product, due=True):
            assert isinstance(heard, StockBelowReserved)
        else:
            assert heard is None
            self.on_hand[product] = units

    @invariant()
    def souk_says_what_the_model_says(self) -> None:
        """Counters and states are those of the model."""
        rows = dict(rows_of("SELECT product_id, on_hand || '/' || reserved FROM stock_stock"))
        assert [rows[one] for one in self.products] == [
            f"{self.on_hand[place]}/{self.held(place, due=True)}" for place in range(PRODUCTS)
        ]
        states = dict(rows_of("SELECT id, state FROM orders_order"))
        assert states == {order_id: one.state for order_id, one in self.known.items()}

    def teardown(self) -> None:
        assert_books_agree()


def refused_with(work: Callable[[], Any]) -> Any:
    """What the work gives, or the refusal that it raises; its effects are gone then."""
    try:
        with transaction.atomic():
            return work()
    except Refused as refused:
        return refused


def last_payment(order_id: UUID) -> UUID:
    """The payment that the order waits for."""
    ((payment_id,),) = rows_of(
        "SELECT id FROM payments_payment WHERE reference = %s ORDER BY attempt DESC LIMIT 1", order_id
    )
    return UUID(str(payment_id))


def test_no_story_tells_souk_and_its_model_apart(clean_database: None) -> None:
    run_state_machine_as_test(
        Shop,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
