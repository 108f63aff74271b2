"""Hot reads: statements that PostgreSQL parses and plans once per connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection


def prepared_rows(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement with named parameters, prepared from its first use on.

    For statements whose good plan does not depend on their parameters: they get a generic one. Django's own cursors
    bind on the client's side, prepare nothing, and read moments and jsonb in Python; here all comes in binary, and
    jsonb as plain data. Raises Django's database errors.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        # The statements are constants of the rooms' modules; what callers say stands in the parameters.
        cursor.execute(statement.encode(), parameters, prepare=True, binary=True)
        return cursor.fetchall()
