"""Hot reads: statements that PostgreSQL parses and plans once per connection, asked without a cursor in between.

A cursor of psycopg costs several times what the server takes for such a statement: it waits in Python, learns the types
anew, and Django's own cursors bind on the client's side and prepare nothing. Here libpq itself is asked, through
psycopg's wrapper of it, and waits outside of the interpreter's lock. docs/decisions/0033-hot-reads.md has the figures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import psycopg
from django.db import DatabaseError, connections
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import Format, TransactionStatus

from souk.kit.postgresql.reading import reading
from souk.kit.postgresql.together import (
    DONE,
    FORGOTTEN,
    LastWord,
    Refusal,
    Sending,
    answered_together,
    error_of,
    refused_by,
)

if TYPE_CHECKING:
    from psycopg.abc import Transformer as Adapting
    from psycopg.pq.abc import PGconn, PGresult

    from souk.kit.postgresql.base import DatabaseWrapper

PLACEHOLDER = re.compile(r"%\((\w+)\)s|%%")
# Statements that a connection keeps; the one that was used least lately goes.
MOST = 200

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


def prepared_at_commit(statement: str, parameters: Mapping[str, Any], *, refusal: Refusal | None = None) -> None:
    """Run the statement at the end of the transaction, after those given before it and together with the COMMIT.

    Its rows are not read, and no statement before the end sees what it does. What it raises comes out of the
    transaction's end, or in its place what `refusal` makes of that; nothing of the transaction stays then. Inside of a
    savepoint or of an outer transaction (of a test, say) it runs at once.
    """
    wrapper = cast("DatabaseWrapper", connections[reading.alias])
    if any(wrapper.savepoint_ids) or not wrapper.in_atomic_block:
        try:
            _executed(statement, parameters, Format.TEXT)
        except DatabaseError as error:
            refused_by(refusal, error.__cause__)
            raise
        return
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors:
        bound = _bound(wrapper.connection, statement, parameters)
        wrapper.last_words.append(LastWord(bound.sending(bound.prepared()), refusal, bound.forget_all))


def _executed(statement: str, parameters: Mapping[str, Any], form: Format) -> tuple[PGresult, Adapting]:
    wrapper = connections[reading.alias]  # once: `connection` would look it up for every attribute
    wrapper.ensure_connection()
    with wrapper.wrap_database_errors:
        bound = _bound(wrapper.connection, statement, parameters)
        for tries in (1, 2):
            result = bound.run(form)
            if result.status in DONE:
                break
            error = error_of(bound.pgconn, result)
            if error.sqlstate in FORGOTTEN:
                bound.forget_all()
            if error.sqlstate not in FORGOTTEN or not bound.is_alone() or tries == 2:
                raise error
            bound.begin_anew()
    return result, bound.transformer


def _bound(line: psycopg.Connection[Any], statement: str, parameters: Mapping[str, Any]) -> _Bound:
    text, names = _positional(statement)
    transformer: Adapting = Transformer(line)
    values = transformer.dump_sequence([parameters[name] for name in names], [PyFormat.AUTO] * len(names))
    known = _known.get(line)
    if known is None:
        known = _known[line] = {}
    return _Bound(line, transformer, values, known, (text, transformer.types))


class _Bound:
    """A statement with its values, on the connection that asks it."""

    __slots__ = ("began", "key", "known", "line", "pgconn", "transformer", "values")

    def __init__(
        self,
        line: psycopg.Connection[Any],
        transformer: Adapting,
        values: Sequence[Any],
        known: dict[_Key, bytes],
        key: _Key,
    ) -> None:
        self.line, self.pgconn, self.transformer = line, line.pgconn, transformer
        self.values, self.known, self.key, self.began = values, known, key, False

    def run(self, form: Format) -> PGresult:
        """The result, or the one that tells why there is none. The transaction begins with its first statement."""
        name = self.prepared()
        if self.line.autocommit or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return self.pgconn.exec_prepared(name, self.values, self.transformer.formats, form)
        self.began = True
        begin = partial(self.pgconn.send_query_params, b"BEGIN", None)
        return answered_together(self.pgconn, [begin, self.sending(name, form)])

    def sending(self, name: bytes, form: Format = Format.TEXT) -> Sending:
        """What sends it."""
        return partial(self.pgconn.send_query_prepared, name, self.values, self.transformer.formats, form)

    def prepared(self) -> bytes:
        """Its name on this connection; prepared when it has none."""
        name = self.known.pop(self.key, None)
        if name is None:
            return _prepare(self.pgconn, self.known, self.key)
        self.known[self.key] = name  # behind all others
        return name

    def is_alone(self) -> bool:
        """Whether nothing was done in its transaction before it, so that it can be asked once more."""
        return self.began or self.pgconn.transaction_status == TransactionStatus.IDLE

    def forget_all(self) -> None:
        """The server does not know it any more, and so none of the others either, perhaps."""
        self.known.clear()

    def begin_anew(self) -> None:
        """End the transaction that it began."""
        if self.began:
            self.pgconn.exec_(b"ROLLBACK")


@cache
def _positional(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """The statement with `$1` for `%(name)s`, and the names in that order."""
    names: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        return f"${names.setdefault(found[1], len(names) + 1)}" if found[1] else "%"

    return PLACEHOLDER.sub(numbered, statement).encode(), tuple(names)


def _prepare(pgconn: PGconn, known: dict[_Key, bytes], key: _Key) -> bytes:
    if len(known) >= MOST:
        pgconn.exec_(b"DEALLOCATE " + known.pop(next(iter(known))))
    name = b"souk_%d" % next(_numbers)
    result = pgconn.prepare(name, *key)
    if result.status not in DONE:
        raise error_of(pgconn, result)
    known[key] = name
    return name
