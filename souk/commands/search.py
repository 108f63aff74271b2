"""The search server by the operator's hand: making its index, and comparing it with the database."""

from __future__ import annotations

from typing import Annotated

import typer
from django.db import Error

from souk import settings
from souk.commands import set_up_django
from souk.commands.processes import require_database

app = typer.Typer()
search = typer.Typer(help="The search server: its index, and whether that is like the database.", no_args_is_help=True)
app.add_typer(search, name="search")


@search.command()
def reindex(
    missing: Annotated[
        bool, typer.Option("--missing", help="Only where there is no index of this Souk; never fails.")
    ] = False,
) -> None:
    """Make a new index while the shop goes on, compare it with the database, and let the shop read it."""
    _ready()
    from souk.search.gateway import needs_index

    try:
        if not missing or needs_index():
            _reindex()
    except typer.Exit:
        if not missing:
            raise


def _reindex() -> None:
    from souk.reactions.search import begin_hearing
    from souk.search.gateway import SearchAway
    from souk.search.operations.rebuilding import NotRebuilt, rebuild_index

    try:
        begin_hearing()
        done = rebuild_index(lambda text: typer.echo(text, err=True))
    except (NotRebuilt, SearchAway) as error:
        raise _refused(f"No new index: {error}. What served before goes on serving.") from error
    except Error as error:
        raise _refused(f"The database does not answer: {str(error).strip()}") from error
    rate = f"{done.products / done.seconds:,.0f} a second" if done.seconds else "none"
    typer.echo(f"{done.index} serves: {done.products} products in {done.seconds:.1f} s ({rate}).")
    for name in done.dropped:
        typer.echo(f"{name} is gone.")


@search.command()
def status(
    repair: Annotated[bool, typer.Option("--repair", help="Let the worker write anew what differs.")] = False,
) -> None:
    """Show how late the index is and what in it differs from the database. Exit code 1 when something is wrong."""
    _ready()
    from souk.search.gateway import SearchAway, fault, served_indices, version
    from souk.search.models import Outdated
    from souk.search.operations.comparing import differences
    from souk.search.operations.indexing import MOST_TRIES, repair_documents, seconds_behind

    if said := fault():
        raise _refused(f"PostgreSQL searches: {said}.")
    try:
        index = served_indices()[0]
        typer.echo(f"{version()}, index {index}")
        behind, marked = seconds_behind(), Outdated.objects.count()
        typer.echo(f"{behind:.1f} s behind ({settings.SEARCH_LAG.total_seconds():g} are allowed), {marked} to write")
        for one in Outdated.objects.filter(tries__gte=MOST_TRIES).order_by("since")[:20]:
            typer.echo(f"refused: product {one.product_id}: {one.error}")
        found = differences(index)
    except SearchAway as error:
        raise _refused(f"The search server: {error}.") from error
    for product_id in found[:20]:
        typer.echo(f"differs: product {product_id}")
    if not found:
        typer.echo("Every product there is as it is in the database.")
        return
    typer.echo(f"{len(found)} products differ.")
    if not repair:
        raise typer.Exit(1)
    repair_documents(found)
    typer.echo("They are marked: the worker writes them anew.")


def _ready() -> None:
    require_database()
    if not settings.SEARCH_URL:
        raise _refused("PostgreSQL searches: SOUK_SEARCH_URL names no server, and there is nothing to keep.")
    set_up_django()


def _refused(why: str) -> typer.Exit:
    typer.echo(why, err=True)
    return typer.Exit(1)
