"""Several statements in one round trip, by libpq's pipeline mode.

A statement that is waited for costs both sides a change of context, which is dearer than the work of a short one: BEGIN
with the first statement, and the last one with COMMIT, halve what four round trips take
(docs/decisions/0031-few-round-trips-per-write.md). psycopg's own pipelines wait in Python and win nothing here.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg.pq import ConnStatus, ExecStatus

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

Sending = Callable[[], None]
# The refusal that an error of a statement stands for; None for one that is an error indeed.
Refusal = Callable[[BaseException], Exception | None]
DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
# The server forgot a statement (DISCARD ALL, a pooler), or its tables have other columns now: prepare it anew.
FORGOTTEN = ("26000", "0A000")


class LastWord(NamedTuple):
    """A statement that is sent with the COMMIT of its transaction; what is done when the server does not know it."""

    send: Sending
    refusal: Refusal | None
    forget: Callable[[], object]


def refused_by(refusal: Refusal | None, error: BaseException | None) -> None:
    """Raise the refusal that the error stands for, if it stands for one."""
    if refusal is not None and error is not None and (refused := refusal(error)) is not None:
        raise refused from error


def answered_together(pgconn: PGconn, sendings: Sequence[Sending]) -> PGresult:
    """Send all, each by one of libpq's `send_...`, and wait for all: the result of the last, or of the one that failed.

    After one that failed the others are not run. Raises psycopg.OperationalError when the connection is lost.
    """
    return answered_in_order(pgconn, sendings)[-1]


def answered_in_order(pgconn: PGconn, sendings: Sequence[Sending]) -> list[PGresult]:
    """The same: the results up to the one that failed, or all."""
    pgconn.enter_pipeline_mode()
    try:
        for send in sendings:
            send()
        pgconn.pipeline_sync()
        results = _results(pgconn)
    finally:
        with suppress(psycopg.OperationalError):  # of a lost connection, whose loss is told already
            pgconn.exit_pipeline_mode()
    failed = next((place for place, result in enumerate(results) if result.status not in DONE), len(results) - 1)
    return results[: failed + 1]


def _results(pgconn: PGconn) -> list[PGresult]:
    results: list[PGresult] = []
    socket = select.poll()
    socket.register(pgconn.socket, select.POLLIN | select.POLLOUT)
    # What does not fit into the socket's buffer is sent while the server answers, or both would wait for each other.
    while pgconn.flush():
        socket.poll()
        pgconn.consume_input()
    socket.modify(pgconn.socket, select.POLLIN)
    while True:
        # `get_result` would wait too, but with the interpreter's lock in its hands.
        while pgconn.is_busy():
            socket.poll()
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None and pgconn.status != ConnStatus.OK:
            raise psycopg.OperationalError(pgconn.get_error_message())
        if result is not None and result.status == ExecStatus.PIPELINE_SYNC:
            return results
        if result is not None:
            results.append(result)


def error_of(pgconn: PGconn, result: PGresult) -> psycopg.Error:
    """What a result that is none says."""
    if pgconn.status != ConnStatus.OK:
        return psycopg.OperationalError(result.get_error_message())
    return psycopg.errors.error_from_result(result)
