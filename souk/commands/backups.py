"""`souk backup` and `souk restore`: the whole shop in one file, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import psycopg
import redis
import typer

from souk import settings
from souk.commands import set_up_django
from souk.commands.processes import capture_properties
from souk.commands.running import HOME, start_detached, stop_stack
from souk.stack.backup import (
    Manifest,
    drop_slot,
    holds_a_shop,
    read_manifest,
    restore_database,
    save_database,
    who_is_connected,
)
from souk.stack.debezium import capture_conninfo
from souk.stack.home import write_file
from souk.stack.postgres import CAPTURE, Cluster, running_postgres
from souk.stack.service import StackError

app = typer.Typer()
STREAMS = "souk.events.*"
File = Annotated[Path, typer.Argument(help="The file.")]


@app.command()
def backup(
    file: File,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Leave out the key that opens the secrets of webhooks.")
    ] = False,
) -> None:
    """Save the whole shop as it is at this moment into one file; it may be open meanwhile."""
    try:
        with _database() as url:
            key = None if without_key or _is_external("DATABASE") else HOME.secrets()["secret_key"]
            manifest = save_database(url, file.absolute(), secret_key=key)
    except StackError as error:
        raise _told(error) from error
    typer.echo(f"{file} holds the shop as of {manifest.created} ({file.stat().st_size >> 10} KiB). Keep it secret.")


@app.command()
def restore(
    file: File,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, put it in the place of the shop that is there.")] = False,
) -> None:
    """Bring back what `souk backup` saved. An embedded stack that runs is stopped and started again."""
    try:
        manifest, key = read_manifest(file)
        _check_known(manifest, file)
        if _is_external("DATABASE"):
            _restore_external(file, yes=yes)
        else:
            _restore_embedded(file.absolute(), key, yes=yes)
    except (StackError, redis.RedisError, psycopg.Error) as error:
        raise _told(error) from error
    typer.echo(f"The shop of {manifest.created} is back.")


def _restore_embedded(file: Path, key: str | None, *, yes: bool) -> None:
    running = HOME.supervisor() is not None
    if running and not yes:
        raise StackError(f"{HOME.who_runs()} Say `souk restore {file} --yes` to put the backup in its place.")
    address = urlsplit(str(HOME.read_state().get("url", "")))
    if running:
        stop_stack(typer.echo)
    try:
        _bring_back(file, key, yes=yes)
    finally:
        # As it was before, whatever came of it.
        if running and start_detached(port=address.port or 0, host=address.hostname or "127.0.0.1", demo=False):
            typer.echo("The stack did not start again: see above.", err=True)


def _bring_back(file: Path, key: str | None, *, yes: bool) -> None:
    with running_postgres(HOME.path) as url:
        _replace(url, file, yes=yes)
        cluster = Cluster(home=HOME, port=urlsplit(url).port or 0, passwords=HOME.secrets())
        drop_slot(cluster.url(CAPTURE), settings.SLOT)
    if _is_external("REDIS"):
        _forget_streams()
    else:
        for kept in sorted((HOME.path / "valkey" / "streams").rglob("*.aof*")):
            kept.unlink()
    if key:
        write_file(HOME.path / "secrets.json", json.dumps({**HOME.secrets(), "secret_key": key}, indent=1))


def _restore_external(file: Path, *, yes: bool) -> None:
    connected = who_is_connected(settings.DATABASE_URL)
    if connected:
        raise StackError(f"Stop these first, they use the database: {', '.join(connected)}. Nothing was done.")
    _replace(settings.DATABASE_URL, file, yes=yes)
    drop_slot(capture_conninfo(capture_properties()), settings.SLOT)
    _forget_streams()
    typer.echo("Now `souk migrate` and `souk cdc ensure`, then start the processes.")


def _replace(url: str, file: Path, *, yes: bool) -> None:
    if not yes and holds_a_shop(url):
        raise StackError(f"There is a shop already. Say `souk restore {file} --yes` to put the backup in its place.")
    HOME.make()
    restore_database(url, file, scratch=HOME.path)


def _forget_streams() -> None:
    """Entries and groups of the old state: what the restored log has to tell is found without them."""
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=5) as client:
            for stream in client.scan_iter(match=STREAMS):
                client.delete(stream)


@contextmanager
def _database() -> Iterator[str]:
    """The address of the database; ours is started for as long as it takes where nothing runs."""
    if settings.DATABASE_URL:
        yield settings.DATABASE_URL
    elif not (HOME.path / "postgres" / "data").exists():
        raise StackError(f"There is no database under {HOME.path}, and SOUK_DATABASE_URL is not set.")
    else:
        with running_postgres(HOME.path) as url:
            yield url


def _check_known(manifest: Manifest, file: Path) -> None:
    set_up_django()
    from django.db.migrations.loader import MigrationLoader

    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    unknown = [name for name in manifest.migrations if name not in known]
    if unknown:
        raise StackError(f"{file} was written by a newer Souk ({manifest.souk}): {unknown[0]} is not known here.")


def _is_external(what: str) -> bool:
    return f"SOUK_{what}_URL" in settings.EXTERNAL


def _told(error: Exception) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(1)
