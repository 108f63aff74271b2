"""Hot reads: statements that PostgreSQL parses and plans once per connection."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import psycopg
from django.db import connection


@cache
def with_limit(statement: str, limit: int) -> str:
    """The statement with its `LIMIT {limit}` written out.

    As a parameter it would make every execution be planned anew: of a limit that it does not know the planner expects a
    tenth of the table, and so it finds the plan for the known one cheaper each time, planning included.
    """
    return statement.replace("{limit}", str(limit))


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
