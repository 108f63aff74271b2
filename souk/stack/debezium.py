"""Debezium's one property file, what goes over it, and the service that runs the embedded engine."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from souk.stack.home import Home
from souk.stack.service import Service, StackError

# The key of the stored offset holds the engine's name, and a Debezium Server's is always its sink's type: with the same
# name the two share one offset row.
ENGINE_NAME = "redis"
_PLACES = (
    # In the checkout, and where the wheel carries it.
    Path(__file__).resolve().parents[2] / "deploy" / "debezium" / "application.properties",
    Path(__file__).resolve().parent / "application.properties",
)
_CONVERTERS = {"key": "key.converter", "value": "value.converter", "header": "header.converter"}


def property_file() -> Path:
    """Where the file is. Raises StackError when the installation lacks it."""
    for place in _PLACES:
        if place.exists():
            return place
    raise StackError(f"deploy/debezium/application.properties is missing (looked at {_PLACES[0]} and {_PLACES[1]}).")


def read_properties(file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The file's properties with every `DEBEZIUM_...` variable over them, mapped as Debezium Server maps them."""
    properties: dict[str, str] = {}
    for line in file.read_text().splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "!")):
            name, _, value = line.partition("=")
            properties[name.strip()] = value.strip()
    known = {re.sub(r"[^A-Z0-9]", "_", name.upper()): name for name in properties}
    for variable, value in environ.items():
        if variable.startswith("DEBEZIUM_"):
            properties[known.get(variable, variable.lower().replace("_", "."))] = value
    return properties


def engine_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """What the embedded engine must be told so that it does as a Debezium Server with these properties does."""
    engine = {"name": ENGINE_NAME}
    for name, value in properties.items():
        if name.startswith("debezium.source."):
            engine[name.removeprefix("debezium.source.")] = value
        elif name.startswith(("debezium.transforms", "debezium.predicates")):
            engine[name.removeprefix("debezium.")] = value
        elif match := re.fullmatch(r"debezium\.format\.(key|value|header)\.(.+)", name):
            engine[f"{_CONVERTERS[match[1]]}.{match[2]}"] = value
    return engine


def environment_for(*, database_url: str, redis_url: str, given: Mapping[str, str]) -> dict[str, str]:
    """The `DEBEZIUM_...` variables for a database as its capture role sees it and the Redis of the streams.

    The ones in `given` win; the role and the password named there are those of the stored offset too.
    """
    at = conninfo_to_dict(database_url)
    host, port, name = at.get("host") or "127.0.0.1", at.get("port") or 5432, at.get("dbname") or "souk"
    user = given.get("DEBEZIUM_SOURCE_DATABASE_USER") or str(at.get("user") or "")
    password = given.get("DEBEZIUM_SOURCE_DATABASE_PASSWORD") or str(at.get("password") or "")
    mode = at.get("sslmode")
    query = f"?sslmode={mode}" if mode else ""
    redis = urlsplit(redis_url)
    environment = {
        "DEBEZIUM_SOURCE_DATABASE_HOSTNAME": str(host),
        "DEBEZIUM_SOURCE_DATABASE_PORT": str(port),
        "DEBEZIUM_SOURCE_DATABASE_DBNAME": str(name),
        "DEBEZIUM_SOURCE_DATABASE_USER": user,
        "DEBEZIUM_SOURCE_DATABASE_PASSWORD": password,
        "DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_CONNECTION_URL": f"jdbc:postgresql://{host}:{port}/{quote(str(name))}{query}",
        "DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_CONNECTION_USER": user,
        "DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_CONNECTION_PASSWORD": password,
        "DEBEZIUM_SINK_REDIS_ADDRESS": f"{redis.hostname or '127.0.0.1'}:{redis.port or 6379}",
        "DEBEZIUM_SINK_REDIS_DB_INDEX": redis.path.strip("/") or "0",
    }
    if mode:
        environment["DEBEZIUM_SOURCE_DATABASE_SSLMODE"] = str(mode)
    if redis.username:
        environment["DEBEZIUM_SINK_REDIS_USER"] = unquote(redis.username)
    if redis.password:
        environment["DEBEZIUM_SINK_REDIS_PASSWORD"] = unquote(redis.password)
    if redis.scheme == "rediss":
        environment["DEBEZIUM_SINK_REDIS_SSL_ENABLED"] = "true"
    return environment | {name: value for name, value in given.items() if name.startswith("DEBEZIUM_")}


def capture_conninfo(properties: Mapping[str, str]) -> str:
    """The libpq address of the database as the capture role: what Debezium itself connects with."""
    names = {
        "host": "hostname", "port": "port", "dbname": "dbname", "user": "user", "password": "password",
        "sslmode": "sslmode",
    }  # fmt: skip
    given = {ours: properties.get(f"debezium.source.database.{theirs}", "") for ours, theirs in names.items()}
    return make_conninfo("", **{name: value for name, value in given.items() if value})


def capture(*, home: Home, env: Mapping[str, str], database_url: str, slot: str) -> Service:
    """The service: the embedded engine in a process and a folder of its own, ready when it reads the slot."""
    folder = home.path / "capture"

    def prepare() -> None:
        folder.mkdir(mode=0o700, exist_ok=True)

    return Service(
        name="capture",
        argv=(sys.executable, "-m", "souk", "capture"),
        env={**env, "SOUK_PROCESS": "command"},
        cwd=folder,
        prepare=prepare,
        ready=reads_slot(database_url, slot),
        settle=1.0,
        grace=15.0,
    )


def reads_slot(database_url: str, slot: str) -> Callable[[], bool]:
    """Whether somebody reads the replication slot now."""

    def ready() -> bool:
        with suppress(psycopg.Error, OSError), psycopg.connect(database_url, connect_timeout=2) as at:
            row = at.execute("SELECT active FROM pg_replication_slots WHERE slot_name = %s", [slot]).fetchone()
            return bool(row and row[0])
        return False

    return ready
