"""The event path for a person at a terminal: the same table for `souk status` and `souk events lag`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text


def path_table(path: Mapping[str, Any]) -> Group:
    """What `/health/ready` tells as `event_path`, to be printed."""
    table = Table(
        "consumer", "oldest unheard", "retrying", "dead letters", "reconciled", "group lag", "pending", box=None
    )
    for one in path["consumers"]:
        group = one["group"] or {}
        table.add_row(
            one["name"],
            f"{one['oldest_unprocessed_seconds']:.1f} s",
            str(one["retrying"]),
            str(one["dead_letters"]),
            str(one["reconciled"]),
            f"{group['seconds']:.1f} s" if group else "-",
            str(group.get("pending", "-")),
        )
    slot = path["slot"]
    if slot is None:
        captured = "slot: there is none; `souk cdc ensure` makes it"
    else:
        safe = "no bound" if slot["safe_bytes"] is None else f"{_mib(slot['safe_bytes'])} left"
        active = "is read" if slot["active"] else "nobody reads it"
        sizes = f"lag {_mib(slot['lag_bytes'])}, kept {_mib(slot['kept_bytes'])} ({safe})"
        captured = f"slot: {active}, {slot['status']}, {sizes}"
    deliveries = ", ".join(f"{count} {outcome}" for outcome, count in path["deliveries"].items())
    webhooks = f"webhooks: {path['webhooks_behind_seconds']:.1f} s behind; in the last hour {deliveries}"
    letters = f"dead letters: {path['dead_letters']}"
    return Group(table, *(Text(f"  {line}") for line in (captured, webhooks, letters)))


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
