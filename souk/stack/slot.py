"""`souk cdc ensure`: everything between the migrations and the first event that Debezium reads."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from souk.stack.service import StackError

PUBLICATION = "souk_events"
EVENTS = "eventlog_event"
HEARTBEAT = "cdc_heartbeat"
OFFSETS = "debezium_offset"
GRANTS: dict[LiteralString, LiteralString] = {
    EVENTS: "SELECT",
    HEARTBEAT: "SELECT, INSERT, DELETE",
    OFFSETS: "SELECT, INSERT, UPDATE, DELETE",
}
# One at a time, whoever calls: "souk" read as a number.
LOCK = 0x736F756B


@dataclass(frozen=True, slots=True)
class Ensured:
    """What `ensure_slot` found and did. `alarm` says that events may have passed Debezium by."""

    slot: str
    made: bool
    alarm: str = ""


def ensure_slot(*, owner: str, capture: str, slot: str) -> Ensured:
    """Make what capture needs and is not there: grants and the replication slot. Idempotent.

    `owner` and `capture` are libpq addresses of the same database, for its owner and for the replication role. A slot
    that was lost takes the stored offset with it, since Debezium refuses for ever to start from an offset without its
    slot. Raises StackError: no publication yet, no replication right, no free slot.
    """
    try:
        with psycopg.connect(owner, autocommit=True, connect_timeout=10) as at:
            at.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            grant_capture(at, role=str(conninfo_to_dict(capture).get("user") or ""))
            with psycopg.connect(capture, autocommit=True, connect_timeout=10) as replicator:
                return settle_slot(at, replicator, slot)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StackError(
            f"{str(error).strip()}. The role that captures needs LOGIN and REPLICATION; name it with "
            "DEBEZIUM_SOURCE_DATABASE_USER and _PASSWORD."
        ) from error
    except psycopg.errors.ConfigurationLimitExceeded as error:
        raise StackError("No free replication slot: raise max_replication_slots, or drop a forgotten one.") from error
    except psycopg.errors.ObjectNotInPrerequisiteState as error:
        raise StackError(f"{str(error).strip()}. Set wal_level=logical and restart PostgreSQL.") from error
    except psycopg.OperationalError as error:
        raise StackError(f"The database cannot be reached for `souk cdc ensure`: {str(error).strip()}") from error


def grant_capture(at: psycopg.Connection, *, role: str) -> None:
    """Let the capture role read the events and keep its heartbeat and its offset; nothing else."""
    if at.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", [PUBLICATION]).fetchone() is None:
        raise StackError(f"There is no publication {PUBLICATION} in this database. Run `souk migrate` first.")
    if role == at.info.user:
        return
    for table, rights in GRANTS.items():
        at.execute(sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), sql.Identifier(table), sql.Identifier(role)))


def is_lost(*, capture: str, slot: str) -> bool:
    """Whether nobody will ever read from the slot again: it is gone or lost. False where the database is away."""
    with suppress(psycopg.Error), psycopg.connect(capture, autocommit=True, connect_timeout=2) as at:
        row = at.execute("SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = %s", [slot]).fetchone()
        return row is None or bool(row[0])
    return False


def settle_slot(at: psycopg.Connection, replicator: psycopg.Connection, slot: str) -> Ensured:
    """Leave the slot that works, or make a new one and forget the offset of the old."""
    found = replicator.execute(
        "SELECT plugin, database = current_database(), wal_status, restart_lsn - '0/0'"
        " FROM pg_replication_slots WHERE slot_name = %s",
        [slot],
    ).fetchone()
    alarm = ""
    if found:
        plugin, is_ours, status, begins = found
        if not is_ours or plugin != "pgoutput":
            raise StackError(
                f"The replication slot {slot} belongs to another database or plugin; choose another name "
                "with DEBEZIUM_SOURCE_SLOT_NAME."
            )
        if status != "lost":
            return Ensured(slot, made=False, alarm=forget_stale_offset(at, slot, int(begins or 0)))
        replicator.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        alarm = f"The replication slot {slot} was lost: its log was removed before Debezium had read it."
    elif at.execute("SELECT 1 FROM debezium_offset LIMIT 1").fetchone():
        alarm = f"The replication slot {slot} was gone although Debezium had read from it."
    at.execute("DELETE FROM debezium_offset")
    # A slot begins where all transactions running now have ended; one left open would keep us waiting for ever.
    replicator.execute("SET statement_timeout = '60s'")
    try:
        replicator.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    except psycopg.errors.QueryCanceled as error:
        raise StackError(
            "The replication slot waits for a transaction that has been open for a minute. End it "
            "(pg_stat_activity shows it) and run `souk cdc ensure` again."
        ) from error
    if alarm:
        alarm += " A new one is made; the reconciler runs the events that passed by."
    return Ensured(slot, made=True, alarm=alarm)


def forget_stale_offset(at: psycopg.Connection, slot: str, begins: int) -> str:
    """Delete an offset that lies before the slot's beginning; the alarm, or an empty text.

    So it is after somebody dropped the slot and it was made anew, by hand or by Debezium itself, which then refuses to
    start from the offset of the old one.
    """
    for (stored,) in at.execute("SELECT offset_val FROM debezium_offset").fetchall():
        place: object = None
        with suppress(ValueError, TypeError, AttributeError):
            place = json.loads(stored).get("lsn")
        if isinstance(place, int) and place < begins:
            at.execute("DELETE FROM debezium_offset")
            return (
                f"The replication slot {slot} begins behind the place that Debezium had read up to: it was lost and "
                "made anew. Debezium goes on from the slot; the reconciler runs the events that passed by."
            )
    return ""
