"""How common words are: copied from the planner's statistics, for the choice of how to look them up."""

from __future__ import annotations

from django.db import connection


def copy_statistics() -> bool:
    """Copy them when the table has been analysed since the last time; returns whether it had been. For the clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT copy_search_statistics()")
        (copied,) = cursor.fetchone()
    return bool(copied)
