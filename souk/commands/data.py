"""Data for a market: import a catalogue, replay real orders, play the demonstration."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from souk import settings
from souk.commands import set_up_django
from souk.commands.processes import require_database

app = typer.Typer()
importing = typer.Typer(help="Bring data in.", no_args_is_help=True)
replaying = typer.Typer(help="Play what really happened somewhere.", no_args_is_help=True)
app.add_typer(importing, name="import")
app.add_typer(replaying, name="replay")

Url = Annotated[str, typer.Option(help="Where the API is.", show_default="this machine's")]
OWN_API = f"http://127.0.0.1:{settings.PORT}"


class Map(StrEnum):
    """Foreign formats that `import products` reads."""

    ICECAT = "icecat"


@importing.command("products")
def products(
    file: Annotated[Path, typer.Argument(help="JSON Lines, plain or gzip; `-` reads standard input.")],
    foreign: Annotated[Map | None, typer.Option("--map", help="The file is in this foreign format.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Lines per transaction.")] = 1000,
) -> None:
    """Import products. Exit code 1 when a line was refused; the good ones are in the catalogue all the same.

    Running it again is safe: what is there already is left alone, a line that changed changes its product.
    """
    _ready()
    from django.db import OperationalError

    from souk.commands import icecat
    from souk.commands.importing import import_file, shown

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        summary = import_file(
            file,
            mapped=icecat.line_of if foreign is Map.ICECAT else None,
            batch=batch,
            console=errors,
            tell=lambda text: errors.print(text, markup=False),
        )
    except OSError as missing:
        typer.echo(f"{file} cannot be read: {missing.strerror}.", err=True)
        raise typer.Exit(1) from missing
    except OperationalError as gone:
        typer.echo(f"The database does not answer: {gone}\nThe same command goes on where this one ended.", err=True)
        raise typer.Exit(1) from gone
    Console().print(shown(summary))
    if summary.broken:
        typer.echo(summary.broken, err=True)
    raise typer.Exit(0 if summary.complete else 1)


@replaying.command("orders")
def orders(
    file: Annotated[Path, typer.Argument(help="Olist's orders.jsonl.gz, with products and sellers beside it.")],
    limit: Annotated[int, typer.Option(min=0, help="How many of the first orders; 0 plays all.")] = 2000,
    clients: Annotated[int, typer.Option(min=1, max=64, help="Buyers at the same time.")] = 8,
    seed: Annotated[int, typer.Option(help="Draws who forgets, and whose card is declined.")] = 1,
    url: Url = OWN_API,
) -> None:
    """Play real orders through the HTTP API, and check all books. Exit code 1 when anything disagrees.

    A tenth of the orders is left unconfirmed and a tenth is paid with a declined card: it takes as long as an order may
    wait for its confirmation.
    """
    _ready()
    import httpx

    from souk.commands.client import Unexpected
    from souk.commands.linefile import BrokenFile
    from souk.commands.olist import BadOrders, plan_of
    from souk.commands.replaying import replay, shown

    console = Console()
    try:
        plan = plan_of(file, limit=limit, seed=seed)
        result = replay(plan, base_url=url, clients=clients, console=Console(stderr=True))
    except (OSError, BadOrders, BrokenFile) as unreadable:
        typer.echo(f"{file} cannot be read: {unreadable}", err=True)
        raise typer.Exit(1) from unreadable
    except (httpx.HTTPError, Unexpected) as broken:
        typer.echo(f"The API at {url} does not play along: {broken}. Is `souk up` running?", err=True)
        raise typer.Exit(1) from broken
    console.print(shown(result))
    for fault in result.faults:
        typer.echo(fault, err=True)
    raise typer.Exit(1 if result.faults else 0)


@app.command()
def demo(
    load_only: Annotated[bool, typer.Option("--load-only", help="Load the demo catalogue, play nothing.")] = False,
    url: Url = OWN_API,
) -> None:
    """Load the demo catalogue, and play the journey of one order, step by step, against the running stack."""
    _ready()
    from souk.commands.demo import play_journey
    from souk.commands.importing import load_demo_catalogue

    console = Console(highlight=False)
    loaded = load_demo_catalogue()
    console.print(f"demo catalogue: {loaded.rows} products, {loaded.created} of them new", highlight=False)
    if not load_only and not play_journey(base_url=url, console=console):
        raise typer.Exit(1)


def _ready() -> None:
    require_database()
    set_up_django()
