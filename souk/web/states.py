"""`docs/states.md`: the machines as tables and diagrams, made from their classes."""

from __future__ import annotations

from souk.catalog.machine import ProductMachine
from souk.kit.machine import Life
from souk.orders.machine import OrderMachine
from souk.payments.machine import PaymentMachine

MACHINES: dict[str, type[Life]] = {"product": ProductMachine, "order": OrderMachine, "payment": PaymentMachine}

HEAD = """# States

Made from the machine classes by `souk django write_docs`; `make check` fails when it is stale.
"""


def states_page() -> str:
    """The whole page, in Markdown with Mermaid diagrams."""
    return "\n".join([HEAD, *(_section(name, machine) for name, machine in MACHINES.items())])


def _section(name: str, machine: type[Life]) -> str:
    rows = [
        f"| `{event}` | `{source}` | `{target}` | {', '.join(machine.actors[event])} |"
        for event, source, target in _moves(machine)
    ]
    return "\n".join(
        [
            f"## {name.capitalize()}",
            "",
            (machine.__doc__ or "").strip(),
            "",
            "```mermaid",
            f"{machine:mermaid}".strip(),
            "```",
            "",
            "| event | from | to | who |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _moves(machine: type[Life]) -> list[tuple[str, str, str]]:
    return [
        (str(event), str(state.value), str(transition.target.value))
        for state in machine.states
        for transition in state.transitions
        for event in transition.events
    ]
