"""A machine drawn as SVG. Our own small layout: the library's pictures need the program `dot`, which few servers have.

States stand in columns by their distance from the beginning. A transition is a curve from side to side, several between
the same two states are one curve with all their names; one that leads back runs below the one that leads on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from souk.kit.machine import Life, initial_state, states_of, transitions_of

LETTER, LINE = 8, 13
BOX_HEIGHT, ROW_GAP, MARGIN = 44, 46, 40
FRAME = """<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" \
height="{height}" font-family="ui-monospace, monospace" font-size="{line}">
<title>{title}</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0 10 5 0 10z"/></marker></defs>
<rect width="{width}" height="{height}" fill="#fff"/>
{parts}
</svg>
"""


@dataclass(frozen=True)
class Box:
    """A state's place: the left upper corner, the width, and its column."""

    x: int
    y: int
    width: int
    column: int

    @property
    def middle(self) -> int:
        """The height at which curves leave and arrive."""
        return self.y + BOX_HEIGHT // 2

    @property
    def right(self) -> int:
        """The right side."""
        return self.x + self.width


def svg_of(machine: type[Life], *, title: str) -> str:
    """The whole picture, as text of an SVG document."""
    edges = _edges(machine)
    boxes = _placed(machine, edges)
    last = {source for source, _ in edges}
    parts = [_beginning(boxes[initial_state(machine)])]
    parts += [_box(name, box, final=name not in last) for name, box in boxes.items()]
    parts += [_edge(boxes[pair[0]], boxes[pair[1]], ", ".join(events)) for pair, events in edges.items()]
    return FRAME.format(
        width=max(box.right for box in boxes.values()) + MARGIN,
        height=max(box.y for box in boxes.values()) + BOX_HEIGHT + MARGIN,
        line=LINE,
        title=escape(title),
        parts="\n".join(parts),
    )


def _edges(machine: type[Life]) -> dict[tuple[str, str], list[str]]:
    """(source, target) -> the events that lead there."""
    edges: dict[tuple[str, str], list[str]] = {}
    for event, moves in transitions_of(machine).items():
        for pair in moves.items():
            edges.setdefault(pair, []).append(event)
    return edges


def _columns(machine: type[Life], pairs: Iterable[tuple[str, str]]) -> dict[str, int]:
    """How many steps each state is away from the beginning; one that cannot be reached stands at the beginning."""
    column = {initial_state(machine): 0}
    found = [initial_state(machine)]
    for here in found:
        for source, target in pairs:
            if source == here and target not in column:
                column[target] = column[here] + 1
                found.append(target)
    return {name: column.get(name, 0) for name in states_of(machine)}


def _placed(machine: type[Life], edges: Mapping[tuple[str, str], list[str]]) -> dict[str, Box]:
    column = _columns(machine, edges)
    members: dict[int, list[str]] = {}
    for name, number in column.items():
        members.setdefault(number, []).append(name)
    width = max(len(name) for name in column) * LETTER + 24
    gap = max(len(", ".join(events)) for events in edges.values()) * LETTER + 60
    rows = max(len(names) for names in members.values())
    return {
        name: Box(
            x=MARGIN + number * (width + gap),
            # A shorter column stands in the middle of the tallest one.
            y=MARGIN + (2 * row + rows - len(names)) * (BOX_HEIGHT + ROW_GAP) // 2,
            width=width,
            column=number,
        )
        for number, names in members.items()
        for row, name in enumerate(names)
    }


def _beginning(box: Box) -> str:
    x = box.x - 30
    return (
        f'<circle cx="{x}" cy="{box.middle}" r="6"/>'
        f'<path d="M{x + 6} {box.middle}H{box.x}" stroke="#000" marker-end="url(#tip)"/>'
    )


def _box(name: str, box: Box, *, final: bool) -> str:
    def frame(inset: int) -> str:
        return (
            f'<rect x="{box.x + inset}" y="{box.y + inset}" width="{box.width - 2 * inset}" '
            f'height="{BOX_HEIGHT - 2 * inset}" rx="{10 - inset}" fill="none" stroke="#000"/>'
        )

    text = f'<text x="{box.x + box.width // 2}" y="{box.middle + 5}" text-anchor="middle">{escape(name)}</text>'
    return frame(0) + (frame(4) if final else "") + text


def _edge(source: Box, target: Box, label: str) -> str:
    if source.column < target.column:
        x1, y1, x2, y2, bend = source.right, source.middle - 8, target.x, target.middle - 8, 1
    elif source.column > target.column:
        x1, y1, x2, y2, bend = source.x, source.middle + 12, target.right, target.middle + 12, -1
    else:
        return _edge_in_column(source, target, label)
    reach = bend * abs(x2 - x1) // 2
    path = f"M{x1} {y1}C{x1 + reach} {y1} {x2 - reach} {y2} {x2} {y2}"
    return _drawn(path, (x1 + x2) // 2, (y1 + y2) // 2 + (-6 if bend > 0 else 14), label, "middle")


def _edge_in_column(source: Box, target: Box, label: str) -> str:
    """Down (or up) between neighbours, at the right of the boxes' middle."""
    x = source.x + source.width * 3 // 4
    y1, y2 = (source.y + BOX_HEIGHT, target.y) if source.y < target.y else (source.y, target.y + BOX_HEIGHT)
    return _drawn(f"M{x} {y1}V{y2}", x + 8, (y1 + y2) // 2 + 4, label, "start")


def _drawn(path: str, x: int, y: int, label: str, anchor: str) -> str:
    return (
        f'<path class="edge" d="{path}" fill="none" stroke="#000" marker-end="url(#tip)"/>'
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" stroke="#fff" stroke-width="4" paint-order="stroke">'
        f"{escape(label)}</text>"
    )
