"""The pure half of a state change: the table that is derived from a machine is the machine."""

from __future__ import annotations

import pytest
from django.db.models import Q
from statemachine import State, StateMachine
from statemachine.exceptions import TransitionNotAllowed

from souk.bags.machine import BagMachine
from souk.catalog.machine import ProductMachine
from souk.kit.machine import (
    IllegalTransition,
    Life,
    events_allowed,
    initial_state,
    next_state,
    sources_of,
    state_constraint,
    states_of,
    transitions_of,
)
from souk.orders.machine import OrderMachine
from souk.payments.machine import PaymentMachine

MACHINES: list[type[Life]] = [ProductMachine, BagMachine, OrderMachine, PaymentMachine]
PARTIES = {"buyer", "seller", "staff", "system"}
EVERY_CASE = [
    (machine, state, event) for machine in MACHINES for state in states_of(machine) for event in transitions_of(machine)
]


@pytest.mark.parametrize(("machine", "state", "event"), EVERY_CASE)
def test_the_table_says_what_a_built_machine_says(machine: type[Life], state: str, event: str) -> None:
    life = machine(start_value=state)
    try:
        life.send(event)
        (reached,) = life.configuration_values
    except TransitionNotAllowed:
        reached = None
    target = transitions_of(machine)[event].get(state)
    assert target == reached
    assert (state in sources_of(machine, event)) == (target is not None)
    if target is None:
        with pytest.raises(IllegalTransition) as refused:
            next_state(machine, state, event)
        assert refused.value.status == 409
        assert refused.value.code == "illegal_transition"
    else:
        assert next_state(machine, state, event) == target


@pytest.mark.parametrize("machine", MACHINES)
def test_every_event_has_actors_and_nobody_else_is_named(machine: type[Life]) -> None:
    assert set(machine.actors) == set(transitions_of(machine))
    assert all(parties and set(parties) <= PARTIES for parties in machine.actors.values())
    assert set(machine.timeouts) <= set(transitions_of(machine))


@pytest.mark.parametrize("machine", MACHINES)
def test_a_callback_that_fails_is_heard_and_an_unknown_event_is_no_silence(machine: type[Life]) -> None:
    # The library's other base class swallows both.
    assert issubclass(machine, StateMachine)
    assert machine.allow_event_without_transition is False
    assert machine.catch_errors_as_events is False


@pytest.mark.parametrize("machine", MACHINES)
def test_the_check_constraint_names_the_states_of_the_class(machine: type[Life]) -> None:
    constraint = state_constraint(machine, "some_state")
    assert constraint.name == "some_state"
    assert constraint.condition == Q(state__in=states_of(machine))


def test_the_states_and_beginnings_are_those_of_the_wire() -> None:
    assert states_of(ProductMachine) == ("DRAFT", "ACTIVE", "ARCHIVED")
    assert states_of(OrderMachine) == ("PENDING_CONFIRMATION", "CONFIRMED", "ACCEPTED", "NOT_CONFIRMED", "CANCELLED")
    assert states_of(PaymentMachine) == ("REQUESTED", "CAPTURED", "DECLINED", "REFUNDED")
    assert [initial_state(machine) for machine in MACHINES] == ["DRAFT", "OPEN", "PENDING_CONFIRMATION", "REQUESTED"]


@pytest.mark.parametrize(
    ("machine", "state", "party", "allowed"),
    [
        (OrderMachine, "PENDING_CONFIRMATION", "buyer", ["confirm", "cancel"]),
        (OrderMachine, "PENDING_CONFIRMATION", "system", ["expire"]),
        (OrderMachine, "PENDING_CONFIRMATION", "seller", []),
        (OrderMachine, "CONFIRMED", "buyer", []),
        (OrderMachine, "CONFIRMED", "system", ["accept", "take_back", "decline"]),
        (OrderMachine, "ACCEPTED", "buyer", []),
        (OrderMachine, "NOT_CONFIRMED", "system", []),
        (OrderMachine, "CANCELLED", "buyer", []),
        (ProductMachine, "DRAFT", "seller", ["activate"]),
        (ProductMachine, "ACTIVE", "seller", ["archive"]),
        (ProductMachine, "ARCHIVED", "seller", ["activate"]),
        (ProductMachine, "ACTIVE", "buyer", []),
        (PaymentMachine, "REQUESTED", "system", ["capture", "decline"]),
        (PaymentMachine, "CAPTURED", "system", ["refund"]),
        (PaymentMachine, "DECLINED", "system", ["refund"]),
        (PaymentMachine, "REFUNDED", "system", []),
        (BagMachine, "OPEN", "buyer", ["order"]),
        (BagMachine, "OPEN", "system", ["abandon"]),
        (BagMachine, "ORDERED", "buyer", []),
    ],
)
def test_each_party_may_do_what_is_theirs(machine: type[Life], state: str, party: str, allowed: list[str]) -> None:
    assert events_allowed(machine, state, party) == allowed  # type: ignore[arg-type]  # the party is one of the four


def test_a_state_that_no_machine_has_is_not_taken_for_one() -> None:
    with pytest.raises(Exception, match="BROKEN"):
        next_state(OrderMachine, "BROKEN", "confirm")


def test_an_event_may_lead_from_several_states_to_one() -> None:
    class Door(Life):
        """A machine of this test's own."""

        wide = State("OPEN", value="OPEN", initial=True)
        ajar = State("AJAR", value="AJAR")
        shut = State("SHUT", value="SHUT", final=True)

        lean = wide.to(ajar)
        close = wide.to(shut) | ajar.to(shut)

    assert transitions_of(Door) == {"lean": {"OPEN": "AJAR"}, "close": {"OPEN": "SHUT", "AJAR": "SHUT"}}
    assert sources_of(Door, "close") == ("OPEN", "AJAR")
    assert next_state(Door, "AJAR", "close") == "SHUT"
