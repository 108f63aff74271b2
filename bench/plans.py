"""How PostgreSQL finds the rows of statements, as it does it with the data that is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import connection

# Where a plan reads rows of a table or an index; what is above only passes them on.
SCANS = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan")


@dataclass(frozen=True)
class Plan:
    """One statement: how each table is read, and how many rows were read in all, those that were thrown away too."""

    statement: str
    nodes: tuple[str, ...]
    rows_read: int


def plans_of(statements: Iterable[Mapping[str, str]]) -> list[Plan]:
    """The plans of the reading statements that Django captured; each is carried out once more."""
    found = []
    for one in statements:
        if not one["sql"].lstrip().startswith(("SELECT", "WITH")):
            continue
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + one["sql"].replace("%", "%%"), [])
            ((told,),) = cursor.fetchall()
        tree = told[0] if not isinstance(told, str) else msgspec.json.decode(told)[0]
        scans = [node for node in _walk(tree["Plan"]) if node["Node Type"] in SCANS]
        found.append(
            Plan(
                statement=one["sql"],
                nodes=tuple(f"{node['Node Type']} of {_place(node)}" for node in scans),
                rows_read=round(sum(_rows(node) for node in scans)),
            )
        )
    return found


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _walk(below)


def _place(node: dict[str, Any]) -> str:
    by = node.get("Index Name")
    return f"{node['Relation Name']} by {by}" if by else str(node["Relation Name"])


def _rows(node: dict[str, Any]) -> float:
    thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + thrown) * node["Actual Loops"])
