"""The doors that show what every kind of thing may do: as JSON, as Mermaid, as SVG."""

from __future__ import annotations

from typing import Literal

from django.http import HttpResponse
from rest_framework.request import Request

from souk.kit.cursor import decode_cursor, link_next, paged
from souk.kit.door import Door, answer
from souk.kit.machine import Life, Party, initial_state, states_of
from souk.kit.parsing import Page, Shape, query_of
from souk.kit.problem import NotFound
from souk.web.diagram import svg_of
from souk.web.states import MACHINES, moves_of, timeout_seconds

MachineName = Literal["product", "bag", "order", "payment"]
LIST = "machines"


class StateOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state. Nothing leads out of a final one."""

    name: str
    initial: bool
    final: bool


class MoveOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}):
    """A transition. `timeout_seconds` says after how long the clock fires it by itself; null where it never does."""

    event: str
    source: str
    target: str
    actors: list[Party]
    timeout_seconds: int | None


class MachineOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one kind of thing may do."""

    name: str
    states: list[StateOut]
    transitions: list[MoveOut]


class MachinesOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of them, in the order of their things' lives."""

    results: list[MachineOut]
    next: str | None


class Machines(Door):
    """`GET /machines`."""

    queried = True

    def get(self, request: Request) -> HttpResponse:
        asked = query_of(Page, request)
        names = list(MACHINES)
        if asked.cursor is not None:
            names = names[names.index(decode_cursor(LIST, asked.cursor, _known)) + 1 :]
        page, following = paged(names, asked.limit, list_name=LIST, key=str)
        out = MachinesOut(results=[machine_out(name) for name in page], next=following)
        return link_next(request, answer(out), following)


class OneMachine(Door):
    """`GET /machines/{name}`: JSON, or the diagram that Accept asks for."""

    media = ("application/json", "text/vnd.mermaid", "image/svg+xml")

    def get(self, request: Request, name: str) -> HttpResponse:
        machine = MACHINES.get(name)
        if machine is None:
            raise NotFound
        match request.accepted_media_type:
            case "text/vnd.mermaid":
                return HttpResponse(f"{machine:mermaid}\n", content_type="text/vnd.mermaid; charset=utf-8")
            case "image/svg+xml":
                return HttpResponse(svg_of(machine, title=_title(name, machine)), content_type="image/svg+xml")
            case _:
                return answer(machine_out(name))


def machine_out(name: str) -> MachineOut:
    """The machine of this name as it is shown."""
    machine = MACHINES[name]
    moves = moves_of(machine)
    sources = {source for _, source, _ in moves}
    return MachineOut(
        name=name,
        states=[
            StateOut(name=state, initial=state == initial_state(machine), final=state not in sources)
            for state in states_of(machine)
        ],
        transitions=[
            MoveOut(
                event=event,
                source=source,
                target=target,
                actors=list(machine.actors[event]),
                timeout_seconds=timeout_seconds(name, event),
            )
            for event, source, target in moves
        ],
    )


def _known(name: str) -> str:
    if name not in MACHINES:
        raise ValueError("there is no such machine")
    return name


def _title(name: str, machine: type[Life]) -> str:
    return f"{name}: {(machine.__doc__ or '').strip()}"
