"""Pieces that migrations of several rooms need."""

from __future__ import annotations

from django.db.migrations import RunSQL


def immediate_foreign_keys(*tables: str) -> RunSQL:
    """Make every foreign key of these tables NOT DEFERRABLE.

    Django makes them DEFERRABLE INITIALLY DEFERRED: the rows they point to would be locked at COMMIT, under the stock
    locks, in the wrong order. Must be a migration after the one that makes the tables: Django adds the keys at its end.
    """
    names = ", ".join(f"'{table}'::regclass" for table in tables)
    return RunSQL(
        f"""
        DO $$
        DECLARE
            found record;
        BEGIN
            FOR found IN
                SELECT conrelid::regclass AS held_by, conname FROM pg_constraint
                 WHERE contype = 'f' AND condeferrable AND conrelid IN ({names})
            LOOP
                EXECUTE format('ALTER TABLE %s ALTER CONSTRAINT %I NOT DEFERRABLE', found.held_by, found.conname);
            END LOOP;
        END $$
        """,  # noqa: S608  # the tables are named by migrations
        RunSQL.noop,
    )
