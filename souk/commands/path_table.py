"""The event path for a person at a terminal: the same table for `souk status` and `souk events lag`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_path(console: Console, path: Mapping[str, Any]) -> None:
    """Show what `/health/ready` tells as `event_path`."""
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
    console.print(table)
    slot = path["slot"]
    if slot is None:
        console.print("  slot: there is none; `souk cdc ensure` makes it")
    else:
        safe = "no bound" if slot["safe_bytes"] is None else f"{_mib(slot['safe_bytes'])} left"
        active = "is read" if slot["active"] else "nobody reads it"
        sizes = f"lag {_mib(slot['lag_bytes'])}, kept {_mib(slot['kept_bytes'])} ({safe})"
        console.print(f"  slot: {active}, {slot['status']}, {sizes}")
    deliveries = ", ".join(f"{count} {outcome}" for outcome, count in path["deliveries"].items())
    console.print(f"  webhooks: {path['webhooks_behind_seconds']:.1f} s behind; in the last hour {deliveries}")
    console.print(f"  dead letters: {path['dead_letters']}")


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
