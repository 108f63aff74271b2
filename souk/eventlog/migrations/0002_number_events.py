"""Positions in the feed, and the audience's index of it. Old code can run beside it: it writes no position."""

from django.db import migrations

NUMBER_EVENTS = """
-- Give committed events the next positions, oldest first. Neither ids nor transaction numbers are safe to read a feed
-- by: a transaction that began earlier may commit later. The look-up is a statement after the
-- lock, so that it sees what the lock's last holder committed.
CREATE FUNCTION number_events(p_limit integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    numbered integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(20, 1) THEN
        RETURN 0;
    END IF;
    WITH waiting AS (
        SELECT id, n FROM eventlog_event WHERE position IS NULL ORDER BY n LIMIT p_limit
    ), ranked AS (
        SELECT w.id, p.last + row_number() OVER (ORDER BY w.n) AS position
          FROM waiting w CROSS JOIN eventlog_position p
    ), placed AS (
        UPDATE eventlog_event e SET position = r.position FROM ranked r WHERE e.id = r.id
        RETURNING e.id, e.type, e.position, e.audience
    ), heard AS (
        INSERT INTO eventlog_audience (user_id, position, type, event_id)
        SELECT DISTINCT reader, position, type, id FROM placed CROSS JOIN LATERAL unnest(audience) AS reader
    ), counted AS (
        UPDATE eventlog_position p SET last = greatest(p.last, (SELECT max(r.position) FROM ranked r))
         WHERE EXISTS (SELECT 1 FROM ranked)
    )
    SELECT count(*) INTO numbered FROM placed;
    RETURN numbered;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("eventlog", "0001_initial")]

    operations = [
        migrations.RunSQL("INSERT INTO eventlog_position (id, last) VALUES (1, 0)", migrations.RunSQL.noop),
        migrations.RunSQL(NUMBER_EVENTS, "DROP FUNCTION number_events"),
    ]
