"""A webhook hears what is behind a position. Old code can run beside it: it goes on by the moment, whose column stays.

A webhook that old code makes has no position of its own and hears from where the log was looked through.
"""

from django.db import migrations, models

FILL = """
UPDATE webhooks_webhook w
   SET hears_after = coalesce((SELECT max(position) FROM eventlog_event WHERE created < w.hears_since), 0)
"""


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0002_immediate_foreign_keys"), ("eventlog", "0002_number_events")]

    operations = [
        migrations.AddField("Webhook", "hears_after", models.BigIntegerField(db_default=0)),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        # To be removed one release later, when no old code is left that writes it.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE webhooks_webhook ALTER COLUMN hears_since SET DEFAULT clock_timestamp()",
                    "ALTER TABLE webhooks_webhook ALTER COLUMN hears_since DROP DEFAULT",
                )
            ],
            state_operations=[migrations.RemoveField("Webhook", "hears_since")],
        ),
    ]
