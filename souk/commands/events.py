"""The event path by the operator's hand: how far it is, what it gave up, and hearing that again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import msgspec
import typer
from django.db import Error
from rich.console import Console

from souk.commands import set_up_django
from souk.commands.path_table import path_table
from souk.commands.processes import require_database

if TYPE_CHECKING:
    from souk.reactions.reaction import Consumer

app = typer.Typer()
events = typer.Typer(help="The way of the events to those who hear them.", no_args_is_help=True)
app.add_typer(events, name="events")
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
OfConsumer = Annotated[str, typer.Option("--consumer", help="This consumer alone.")]


@events.command()
def lag(as_json: AsJson = False) -> None:
    """Show how far consumers, groups, slot and webhooks are behind, and what was given up or only found later."""
    require_database()
    set_up_django()
    from souk.web.event_path import event_path

    try:
        path = event_path()
    except Error as error:
        raise _refused(f"The database does not answer: {str(error).strip()}") from error
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(path)).decode())
        return
    Console(soft_wrap=True).print(path_table(msgspec.to_builtins(path)))
    if path.clock_seconds is None or path.clock_seconds > 30:
        typer.echo(
            "The clock has not looked for a while: these figures may be old. `souk status` shows whether it runs."
        )


@events.command()
def dead(
    consumer: OfConsumer = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the dead letters: what a consumer gave up, with the last error."""
    require_database()
    set_up_django()
    from souk.reactions.letters import dead_letters

    _known(consumer)
    letters = dead_letters(consumer=consumer or None, limit=limit)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(letters)).decode())
        return
    if not letters:
        typer.echo("There are no dead letters.")
        return
    # No table: in a narrow terminal it would cut the ids, which `requeue` is given.
    for one in letters:
        last_line = (one.error.strip().splitlines() or [""])[-1]
        tries = f"{one.tries} {'try' if one.tries == 1 else 'tries'}"
        typer.echo(f"{one.consumer}  {one.event_id}  {one.type}  {tries}  {one.at:%Y-%m-%d %H:%M:%S}Z\n    {last_line}")


@events.command()
def requeue(
    ids: Annotated[list[str] | None, typer.Argument(help="Events, by the ids that `souk events dead` shows.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    consumer: OfConsumer = "",
) -> None:
    """Let dead letters be heard again, from the first try on. Exit code 1 when none was found."""
    require_database()
    set_up_django()
    from souk.reactions.letters import requeue as requeue_letters

    wanted = [_id(text) for text in ids or []]
    if bool(wanted) == everything and not (consumer and not wanted):
        raise _refused("Name events by their ids, or say --all, or --consumer NAME for all of one consumer.")
    chosen = _known(consumer)
    done = requeue_letters(chosen, ids=wanted or None)
    if done.dropped:
        typer.echo(f"Taken away: {done.dropped} with no event in the log behind them.")
    if not (done.events or done.dropped):
        raise _refused("There is no such dead letter. `souk events dead` lists them.")
    if done.events:
        typer.echo(f"To be heard again: {done.events}. The clock begins within a second.")


def _known(name: str) -> list[Consumer]:
    from souk.reactions.consumers import CONSUMERS

    found = [consumer for consumer in CONSUMERS if name in ("", consumer.name)]
    if not found:
        raise _refused(f"There is no consumer {name}. There are: {', '.join(one.name for one in CONSUMERS)}.")
    return found


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise _refused(f"{text} is not the id of an event.") from error


def _refused(why: str) -> typer.Exit:
    typer.echo(why, err=True)
    return typer.Exit(1)
