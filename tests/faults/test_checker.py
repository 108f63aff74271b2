"""The checker sees what is wrong: histories and facts that are whole, and then one thing changed in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults.checking import INVARIANTS, violations
from tests.faults.facts import Facts, OrderFact
from tests.faults.history import Asked
from tests.faults.listening import Heard

BUYER, MUG, LAMP = "buyer-1", "mug", "lamp"
Doctor = Callable[[list[Asked], Facts], None]


def asked(method: str, path: str, status: int | None, *, at: float, **more: object) -> Asked:
    """A request that took a tenth of a second."""
    given = {"role": "buyer", "user": BUYER, **more}
    return Asked(method=method, path=path, status=status, began=at, ended=at + 0.1, **given)  # type: ignore[arg-type]  # the fields of Asked, by name


def order(key: str, status: int | None, *, at: float, made: str = "") -> Asked:
    """A request for two mugs."""
    body = {"lines": [{"product_id": MUG, "quantity": 2}]}
    return asked("POST", "/orders", status, at=at, key=key, body=body, answer={"id": made} if made else None)


def whole() -> tuple[list[Asked], Facts]:
    """A round in which nothing went wrong: one order was answered, of another one nobody knows; both were made."""
    history = [
        order("k1", 201, at=1.0, made="o1"),
        order("k2", None, at=2.0),
        asked("POST", "/orders/o1/confirm", 200, at=3.0, key="k3"),
        asked("POST", f"/products/{MUG}/stock-movements", 201, at=4.0, role="seller", key="n1"),
        asked("PATCH", f"/products/{MUG}", 200, at=5.0, body={"title": "Mug v1"}),
        asked("PATCH", f"/products/{MUG}", None, at=6.0, body={"title": "Mug v2"}),
        asked("POST", "/orders", 503, at=6.5, key="k4", body={"lines": []}),
        asked("POST", "/oauth/revoke", 200, at=7.0, ends=["t1"]),
        asked("GET", "/me", 401, at=8.0, token="t1"),
    ]
    facts = Facts(
        orders=[
            OrderFact("o1", BUYER, "ACCEPTED", [(MUG, 2)], ["place", "confirm", "accept"], 30.0, 10.0),
            OrderFact("o2", BUYER, "NOT_CONFIRMED", [(MUG, 2)], ["place", "expire"], 20.0, 20.5),
        ],
        notes=Counter({"n1": 1}),
        products={MUG: ("Mug v2", True), LAMP: ("Lamp v0", False)},
        feeds={BUYER: ["e1", "e2"]},
        shown_feeds={BUYER: ["e1", "e2"]},
        live=Heard(BUYER, 1, ["e2"]),
        hooked=Heard(BUYER, 0, ["e2", "e1", "e2"]),
        listed=[MUG],
        windows=[(1.9, 6.7)],
        well_at=9.0,
    )
    return history, facts


def test_a_round_in_which_nothing_went_wrong_has_no_violation() -> None:
    assert violations(*whole()) == []


def lose_an_order(history: list[Asked], facts: Facts) -> None:
    del facts.orders[0]


def make_an_order_twice(history: list[Asked], facts: Facts) -> None:
    history.insert(1, order("k1", 201, at=1.5, made="o3"))
    facts.orders.append(OrderFact("o3", BUYER, "ACCEPTED", [(MUG, 2)], ["place"], 30.0, 10.0))


def make_an_order_nobody_asked_for(history: list[Asked], facts: Facts) -> None:
    facts.orders.append(OrderFact("o9", BUYER, "NOT_CONFIRMED", [(MUG, 2)], ["place", "expire"], 20.0, 20.5))


def make_an_order_of_other_lines(history: list[Asked], facts: Facts) -> None:
    facts.orders[1].lines = [(MUG, 1)]


def forget_a_confirmation(history: list[Asked], facts: Facts) -> None:
    facts.orders[0].events.remove("confirm")


def count_a_delivery_twice(history: list[Asked], facts: Facts) -> None:
    facts.notes["n1"] = 2


def lose_a_delivery(history: list[Asked], facts: Facts) -> None:
    facts.notes.clear()


def lose_an_edit(history: list[Asked], facts: Facts) -> None:
    facts.products[MUG] = ("Mug v0", True)


def break_the_books(history: list[Asked], facts: Facts) -> None:
    facts.broken["I1", "the counters are the sums"] = [("mug", 3, 4)]


def leave_the_machine(history: list[Asked], facts: Facts) -> None:
    facts.broken["I3", "every step"] = [("order", "ACCEPTED", "cancel", "CANCELLED")]


def close_an_order_late(history: list[Asked], facts: Facts) -> None:
    facts.orders[1].closed_at = 25.1


def miss_an_event_of_the_feed(history: list[Asked], facts: Facts) -> None:
    facts.shown_feeds[BUYER] = ["e2"]


def tell_a_listener_twice(history: list[Asked], facts: Facts) -> None:
    facts.live = Heard(BUYER, 1, ["e2", "e2"])


def tell_a_listener_out_of_order(history: list[Asked], facts: Facts) -> None:
    facts.live = Heard(BUYER, 0, ["e2", "e1"])


def forget_a_webhook(history: list[Asked], facts: Facts) -> None:
    facts.hooked = Heard(BUYER, 0, ["e1"])


def pass_a_stream_by(history: list[Asked], facts: Facts) -> None:
    facts.passed_by = ["e2"]


def show_an_event_twice(history: list[Asked], facts: Facts) -> None:
    facts.shown_feeds[BUYER] = ["e1", "e1", "e2"]


def show_events_in_another_order(history: list[Asked], facts: Facts) -> None:
    facts.shown_feeds[BUYER] = ["e2", "e1"]


def never_settle(history: list[Asked], facts: Facts) -> None:
    facts.left["events that nobody has heard"] = 3


def list_what_is_hidden(history: list[Asked], facts: Facts) -> None:
    facts.listed.append(LAMP)


def fail_with_a_defect(history: list[Asked], facts: Facts) -> None:
    history.append(asked("GET", "/orders", 500, at=3.0))


def fail_while_nothing_is_down(history: list[Asked], facts: Facts) -> None:
    history.append(asked("GET", "/orders", 503, at=12.0))


def fail_at_a_door_that_the_fault_does_not_touch(history: list[Asked], facts: Facts) -> None:
    facts.disturbed = "^/oauth/"


def say_nothing_while_nothing_is_down(history: list[Asked], facts: Facts) -> None:
    history.append(asked("GET", "/orders", None, at=12.0))


def let_a_dead_token_in(history: list[Asked], facts: Facts) -> None:
    history.append(asked("GET", "/me", 200, at=9.0, token="t1"))


DOCTORED: list[tuple[str, Doctor]] = [
    ("I1", break_the_books),
    ("I2", lose_an_order),
    ("I2", make_an_order_twice),
    ("I2", make_an_order_nobody_asked_for),
    ("I2", make_an_order_of_other_lines),
    ("I2", forget_a_confirmation),
    ("I2", count_a_delivery_twice),
    ("I2", lose_a_delivery),
    ("I2", lose_an_edit),
    ("I3", leave_the_machine),
    ("I4", close_an_order_late),
    ("I5", miss_an_event_of_the_feed),
    ("I5", tell_a_listener_twice),
    ("I5", tell_a_listener_out_of_order),
    ("I5", forget_a_webhook),
    ("I5", pass_a_stream_by),
    ("I5", show_an_event_twice),
    ("I5", show_events_in_another_order),
    ("I5", never_settle),
    ("I6", list_what_is_hidden),
    ("I7", fail_with_a_defect),
    ("I7", fail_while_nothing_is_down),
    ("I7", fail_at_a_door_that_the_fault_does_not_touch),
    ("I7", say_nothing_while_nothing_is_down),
    ("I8", let_a_dead_token_in),
]


@pytest.mark.parametrize(
    ("invariant", "doctor"), DOCTORED, ids=lambda one: one if isinstance(one, str) else one.__name__
)
def test_what_was_doctored_is_told_as_the_invariant_that_it_breaks(invariant: str, doctor: Doctor) -> None:
    history, facts = whole()
    doctor(history, facts)
    assert {found.invariant for found in violations(history, facts)} == {invariant}


def test_every_invariant_is_broken_by_one_of_the_doctored_rounds() -> None:
    assert {invariant for invariant, _ in DOCTORED} == set(INVARIANTS)


def test_a_dead_token_may_hear_503_and_a_living_one_anything() -> None:
    history, facts = whole()
    history.append(asked("GET", "/me", 503, at=6.0, token="t1"))
    history.append(asked("GET", "/me", 200, at=6.9, token="t1"))
    history.append(asked("GET", "/me", 200, at=9.0, token="t2"))
    assert violations(history, facts) == []


def test_an_order_that_fell_due_before_all_ran_again_may_be_closed_late() -> None:
    history, facts = whole()
    facts.orders[1].expires_at, facts.orders[1].closed_at = 8.0, 28.0
    assert violations(history, facts) == []
