"""`docs/states.md` and its pictures: the machines as tables and diagrams, made from their classes."""

from __future__ import annotations

from django.conf import settings

from souk.bags.machine import BagMachine
from souk.bags.operations import UNTOUCHED
from souk.catalog.machine import ProductMachine
from souk.kit.machine import Life
from souk.orders.machine import OrderMachine
from souk.payments.machine import PaymentMachine
from souk.web.diagram import svg_of

MACHINES: dict[str, type[Life]] = {
    "product": ProductMachine,
    "bag": BagMachine,
    "order": OrderMachine,
    "payment": PaymentMachine,
}
# What the clock fires by itself, and after how long: one entry for every name in a machine's `timeouts`.
TIMEOUTS = {("bag", "abandon"): UNTOUCHED, ("order", "expire"): settings.ORDER_HOLD}

HEAD = """# States

Made from the machine classes by `souk django write_docs`; `make check` fails when it is stale.
"""


def states_pages() -> dict[str, str]:
    """The page in Markdown and its pictures, by the names of their files. Whoever reads it needs no script to draw."""
    page = "\n".join([HEAD, *(_section(name, machine) for name, machine in MACHINES.items())])
    pictures = {
        f"states/{name}.svg": svg_of(machine, title=f"The states of a {name}") for name, machine in MACHINES.items()
    }
    return {"states.md": page, **pictures}


def _section(name: str, machine: type[Life]) -> str:
    rows = [
        f"| `{event}` | `{source}` | `{target}` | {', '.join(machine.actors[event])} |"
        for event, source, target in moves_of(machine)
    ]
    return "\n".join(
        [
            f"## {name.capitalize()}",
            "",
            (machine.__doc__ or "").strip(),
            "",
            f"![The states of a {name}](states/{name}.svg)",
            "",
            "| event | from | to | who |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def moves_of(machine: type[Life]) -> list[tuple[str, str, str]]:
    """Every (event, source, target), in the order of the states."""
    return [
        (str(event), str(state.value), str(transition.target.value))
        for state in machine.states
        for transition in state.transitions
        for event in transition.events
    ]


def timeout_seconds(name: str, event: str) -> int | None:
    """After how many seconds the clock fires this event of the named machine by itself; None when it never does."""
    after = TIMEOUTS.get((name, event))
    return None if after is None else int(after.total_seconds())
