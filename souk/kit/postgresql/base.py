"""The back end that ENGINE names: a limit for whole transactions where the server knows one, and lost connections."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from django.db import InterfaceError, OperationalError, connection
from django.db.backends.postgresql import base
from django.db.backends.utils import debug_transaction

from souk.kit.postgresql.together import DONE, FORGOTTEN, LastWord, answered_in_order, error_of

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

TRANSACTION_TIMEOUT_SINCE = 170_000
# No server is started again in less.
RESTED_SECONDS = 0.5
Value = TypeVar("Value")


class DatabaseWrapper(base.DatabaseWrapper):
    """`OPTIONS["transaction_timeout"]` (such as `10s`) is set on servers from 17 on; older ones would refuse it."""

    # When the last request began.
    last_used: float = 0.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # The statements that are sent together with COMMIT (`prepared_at_commit`).
        self.last_words: list[LastWord] = []

    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        parameters.pop("transaction_timeout", None)
        return parameters

    def _configure_connection(self, connection: psycopg.Connection[Any]) -> bool:
        limit = self.settings_dict["OPTIONS"].get("transaction_timeout")
        if limit and connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
            connection.execute("SELECT set_config('transaction_timeout', %s, false)", [limit])
        return bool(super()._configure_connection(connection))  # type: ignore[misc]  # the stubs leave it out

    def _commit(self) -> None:
        said, self.last_words = self.last_words, []
        if not said or self.connection is None:
            super()._commit()  # type: ignore[misc]  # the stubs leave it out
            return
        with debug_transaction(self, "COMMIT"), self.wrap_database_errors:
            pgconn = self.connection.pgconn
            commit = partial(pgconn.send_query_params, b"COMMIT", None)
            results = answered_in_order(pgconn, [*(word.send for word in said), commit])
            if results[-1].status in DONE:
                return
            error = error_of(pgconn, results[-1])
            if len(results) <= len(said):  # not the COMMIT
                failed = said[len(results) - 1]
                if error.sqlstate in FORGOTTEN:
                    failed.forget()
                if failed.refusal is not None and (refused := failed.refusal(error)) is not None:
                    self.rollback()  # which Django does for errors of a database alone
                    raise refused from error
            raise error

    def _rollback(self) -> None:
        self.last_words = []
        super()._rollback()  # type: ignore[misc]  # the stubs leave it out

    def _close(self) -> None:
        self.last_words = []
        super()._close()  # type: ignore[misc]  # the stubs leave it out

    def close_if_unusable_or_obsolete(self) -> None:
        """Between two requests: a connection whose server has hung up is let go, before anything is asked over it.

        A thread may rest for minutes after the database was started again, and a write is not tried a second time. In
        a busy one nothing is looked at: it would hand the interpreter's lock away twice per request.
        """
        now = time.monotonic()
        rested, self.last_used = now - self.last_used, now
        if rested > RESTED_SECONDS and self.connection is not None and has_hung_up(self.connection.pgconn):
            self.close()
        super().close_if_unusable_or_obsolete()


def has_hung_up(pgconn: PGconn) -> bool:
    """Whether the server has closed this idle connection, as far as this machine knows: nothing is sent."""
    waiting = select.poll()
    try:
        waiting.register(pgconn.socket, select.POLLIN)
        while waiting.poll(0):  # although nothing was asked: a notice, which is read away, the last word, or the end
            pgconn.consume_input()
    except (psycopg.Error, OSError):
        return True
    return False


def read_again_if_lost(read: Callable[[], Value]) -> Value:
    """What the read gives; asked a second time when its connection turns out to be lost (a restarted server).

    Connections are not tried before each request, which would cost a round trip every time.
    """
    try:
        return read()
    except (OperationalError, InterfaceError):
        broken = connection.connection
        if connection.in_atomic_block or broken is None or not broken.closed:
            raise
        connection.close()
        if pool := getattr(connection, "pool", None):
            pool.check()
        return read()
