"""The pure half of a state change: what a machine allows. No row, no clock, no lock.

A machine is a python-statemachine `StateMachine` whose state values are what the database stores. The class is the only
list of states: the CHECK constraint, the guarded bulk SQL, the diagrams and `allowed_actions` are all derived from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal

from django.db.models import CheckConstraint, Q
from statemachine import StateMachine

from souk.kit.problem import Refused

Party = Literal["buyer", "seller", "staff", "system"]


class IllegalTransition(Refused):
    """What was asked for is not possible in the state that the thing is in now."""

    advice = "Read it again: `state` says where it is, `allowed_actions` what you can do. `/machines` draws all states."

    status, code, title = 409, "illegal_transition", "The state does not allow this"


class Life(StateMachine):
    """A machine that also says who may cause each event.

    `actors` has an entry for every event; `timeouts` names the events that a clock fires.
    """

    actors: ClassVar[Mapping[str, tuple[Party, ...]]] = {}
    timeouts: ClassVar[tuple[str, ...]] = ()


@cache
def transitions_of(machine: type[Life]) -> Mapping[str, Mapping[str, str]]:
    """Event -> {source state: target state}: the machine as a table, since building one costs 0.3 ms."""
    table: dict[str, dict[str, str]] = {}
    for source in machine.states:
        for transition in source.transitions:
            for event in transition.events:
                table.setdefault(str(event), {})[str(source.value)] = str(transition.target.value)
    return table


@cache
def states_of(machine: type[Life]) -> tuple[str, ...]:
    """Every state, as stored, in the order of the class."""
    return tuple(str(state.value) for state in machine.states)


def initial_state(machine: type[Life]) -> str:
    """The state that a new row has."""
    return next(str(state.value) for state in machine.states if state.initial)


def sources_of(machine: type[Life], event: str) -> tuple[str, ...]:
    """The states in which the event is allowed: the guard of bulk SQL."""
    return tuple(transitions_of(machine)[event])


def events_allowed(machine: type[Life], state: str, party: Party) -> list[str]:
    """What this party may do in this state, in the order of the class."""
    return [
        event
        for event, moves in transitions_of(machine).items()
        if state in moves and party in machine.actors.get(event, ())
    ]


def next_state(machine: type[Life], state: str, event: str) -> str:
    """Where the event leads, by the machine's table. Raises IllegalTransition."""
    target = transitions_of(machine).get(event, {}).get(state)
    if target is None:
        raise IllegalTransition(f"{event} is not possible in the state {state}.")
    return target


def state_constraint(machine: type[Life], name: str) -> CheckConstraint:
    """CHECK (state IN ...) made from the class."""
    return CheckConstraint(condition=Q(state__in=states_of(machine)), name=name)
