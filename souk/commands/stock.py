"""The books of the stock by the operator's hand."""

from __future__ import annotations

from typing import Annotated

import typer

from souk.commands import set_up_django
from souk.commands.processes import require_database

app = typer.Typer()
stock = typer.Typer(help="What is on hand, and what is held.", no_args_is_help=True)
app.add_typer(stock, name="stock")


@stock.callback()
def books() -> None:
    """What is on hand, and what is held."""


@stock.command()
def check(
    repair: Annotated[bool, typer.Option("--repair", help="Make the books of the products named agree.")] = False,
) -> None:
    """Compare counters, ledger, holds and open orders; exit 1 when some differ (or still do, after the repair)."""
    require_database()
    set_up_django()
    from souk.orders.operations.auditing import find_drift, repair_stock

    found = find_drift()
    for drift in found:
        typer.echo(
            f"{drift.product_id}: on hand {drift.on_hand} (ledger {drift.ledger_on_hand}), reserved {drift.reserved}"
            f" (ledger {drift.ledger_reserved}, holds {drift.held}, confirmed lines {drift.confirmed}, open lines"
            f" {drift.open}), sold {drift.ledger_sold} (accepted lines {drift.sold})",
            err=True,
        )
    if repair:
        for drift in found:
            repair_stock(product_id=drift.product_id)
        repaired, found = len(found), find_drift()
        typer.echo(f"Repaired: {repaired - len(found)}. Left: {len(found)}.")
    if found:
        raise typer.Exit(1)
    typer.echo("Counters, ledger, holds and orders agree.")
