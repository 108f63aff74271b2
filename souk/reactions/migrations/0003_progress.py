"""How far each consumer has heard, what the reconciler found, and how often a dead letter was tried.

Old code can run beside it: it writes none of that.
"""

import django.contrib.postgres.fields
from django.db import migrations, models

import souk.eventlog.models

# Everything up to `upto` is heard, so a look at what is not begins there. Bounded: p_limit events are looked at, and
# `looked_at` is the last of them. plpgsql, so that the floor is a value and the events are read in order of their ids.
UNHEARD = """
CREATE FUNCTION first_unheard(p_consumer integer, p_limit integer)
RETURNS TABLE (event_id uuid, looked_at uuid, looked bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_types text[];
    v_floor uuid;
BEGIN
    SELECT p.types, greatest(p.upto, b.after) INTO v_types, v_floor
      FROM reactions_progress p LEFT JOIN reactions_beginning b USING (consumer) WHERE p.consumer = p_consumer;
    RETURN QUERY
    WITH looked AS MATERIALIZED (
        SELECT e.id, e.type FROM eventlog_event e WHERE e.id > v_floor ORDER BY e.id LIMIT p_limit
    )
    SELECT (SELECT l.id FROM looked l
             WHERE l.type = ANY(v_types)
               AND NOT EXISTS (SELECT 1 FROM reactions_processed h
                                WHERE h.consumer = p_consumer AND h.event_id = l.id AND h.event_id > v_floor)
             ORDER BY l.id LIMIT 1),
           (SELECT l.id FROM looked l ORDER BY l.id DESC LIMIT 1),
           (SELECT count(*) FROM looked);
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("reactions", "0002_retries_and_beginnings"), ("eventlog", "0003_publication")]

    operations = [
        migrations.CreateModel(
            name="Progress",
            fields=[
                ("consumer", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=32)),
                (
                    "types",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), size=None),
                ),
                ("upto", models.UUIDField()),
                ("at", models.DateTimeField(db_default=souk.eventlog.models.ClockTimestamp())),
                ("reconciled", models.BigIntegerField(db_default=0, default=0)),
                ("reconciled_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField("DeadLetter", "tries", models.SmallIntegerField(db_default=1, default=1)),
        migrations.RunSQL(UNHEARD, "DROP FUNCTION first_unheard"),
    ]
