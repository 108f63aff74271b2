"""The back end that ENGINE names: a limit for whole transactions where the server knows one, and lost connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import InterfaceError, OperationalError, connection
from django.db.backends.postgresql import base

if TYPE_CHECKING:
    import psycopg

TRANSACTION_TIMEOUT_SINCE = 170_000
Value = TypeVar("Value")


class DatabaseWrapper(base.DatabaseWrapper):
    """`OPTIONS["transaction_timeout"]` (such as `10s`) is set on servers from 17 on; older ones would refuse it."""

    def get_connection_params(self) -> dict[str, Any]:
        parameters: dict[str, Any] = super().get_connection_params()
        parameters.pop("transaction_timeout", None)
        return parameters

    def _configure_connection(self, connection: psycopg.Connection[Any]) -> bool:
        limit = self.settings_dict["OPTIONS"].get("transaction_timeout")
        if limit and connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
            connection.execute("SELECT set_config('transaction_timeout', %s, false)", [limit])
        return bool(super()._configure_connection(connection))  # type: ignore[misc]  # the stubs leave it out


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
