"""Hot reads: statements that PostgreSQL parses and plans once per connection, asked without a cursor in between.

A cursor of psycopg costs several times what the server takes for such a statement: it waits in Python, learns the types
anew, and Django's own cursors bind on the client's side and prepare nothing. Here libpq itself is asked, through
psycopg's wrapper of it, and waits outside of the interpreter's lock. docs/decisions/0033-hot-reads.md has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connections
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus

from souk.kit.postgresql.reading import reading

if TYPE_CHECKING:
    from psycopg.abc import Transformer as Adapting
    from psycopg.pq.abc import PGconn, PGresult

PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")
# Statements that a connection keeps; the one that was prepared first goes.
MOST = 200
# The server forgot a statement (DISCARD ALL, a pooler), or its tables have other columns now: prepare it anew.
FORGOTTEN = ("26000", "0A000")
DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)

_Key = tuple[bytes, tuple[int, ...] | None]
_known: WeakKeyDictionary[psycopg.Connection[Any], dict[_Key, bytes]] = WeakKeyDictionary()
_numbers = count(1)


@cache
def with_limit(statement: str, limit: int) -> str:
    """The statement with its `LIMIT {limit}` written out.

    As a parameter it would make every execution be planned anew: of a limit that it does not know the planner expects a
    tenth of the table, and so it finds the plan for the known one cheaper each time, planning included.
    """
    return statement.replace("{limit}", str(limit))


def prepared_rows(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement with named parameters, prepared from its first use on.

    For statements whose good plan does not depend on their parameters: they get a generic one. All comes in binary, and
    jsonb as plain data. Raises Django's database errors.
    """
    result, transformer = _executed(statement, parameters, Format.BINARY)
    transformer.set_pgresult(result)
    rows: list[tuple[Any, ...]] = transformer.load_rows(0, result.ntuples, tuple)
    return rows


def prepared_texts(statement: str, parameters: Mapping[str, Any]) -> list[tuple[bytes | None, ...]]:
    """The same rows, each column as PostgreSQL writes it: for answers whose JSON the statement makes."""
    result, _ = _executed(statement, parameters, Format.TEXT)
    columns = range(result.nfields)
    value = result.get_value
    return [tuple([value(row, column) for column in columns]) for row in range(result.ntuples)]


def _executed(statement: str, parameters: Mapping[str, Any], form: Format) -> tuple[PGresult, Adapting]:
    text, names = _positional(statement)
    wrapper = connections[reading.alias]  # once: `connection` would look it up for every attribute
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors:
        line = wrapper.connection
        transformer: Adapting = Transformer(line)
        values = transformer.dump_sequence([parameters[name] for name in names], [PyFormat.AUTO] * len(names))
        key = (text, transformer.types)
        known = _known.get(line)
        if known is None:
            known = _known[line] = {}
        for tries in (1, 2):
            if not line.autocommit and line.pgconn.transaction_status == TransactionStatus.IDLE:
                _begin(line.pgconn)
            name = known.get(key) or _prepare(line.pgconn, known, key)
            result = line.pgconn.exec_prepared(name, values, transformer.formats, form)
            if result.status in DONE:
                break
            error = _error(line.pgconn, result)
            outside = line.pgconn.transaction_status == TransactionStatus.IDLE
            if error.sqlstate not in FORGOTTEN or not outside or tries == 2:
                raise error
            known.pop(key)
    return result, transformer


@cache
def _positional(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with `$1` for `%(name)s`, and the names in that order."""
    names: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        return f"${names.setdefault(found[1], len(names) + 1)}" if found[1] else "%"

    return PLACEHOLDER.sub(numbered, statement).encode(), tuple(names)


def _begin(pgconn: PGconn) -> None:
    """Begin the transaction, which psycopg's own cursors would do with their first statement."""
    result = pgconn.exec_(b"BEGIN")
    if result.status not in DONE:
        raise _error(pgconn, result)


def _prepare(pgconn: PGconn, known: dict[_Key, bytes], key: _Key) -> bytes:
    if len(known) >= MOST:
        pgconn.exec_(b"DEALLOCATE " + known.pop(next(iter(known))))
    name = b"souk_%d" % next(_numbers)
    result = pgconn.prepare(name, *key)
    if result.status not in DONE:
        raise _error(pgconn, result)
    known[key] = name
    return name


def _error(pgconn: PGconn, result: PGresult) -> psycopg.Error:
    if pgconn.status != ConnStatus.OK:
        return psycopg.OperationalError(result.get_error_message())
    return psycopg.errors.error_from_result(result)
