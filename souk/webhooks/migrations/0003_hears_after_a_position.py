"""A webhook hears what is behind a position, not what was written after a moment. Old code cannot run beside it."""

from django.db import migrations, models

FILL = """
UPDATE webhooks_webhook w
   SET hears_after = coalesce((SELECT max(position) FROM eventlog_event WHERE created < w.hears_since), 0)
"""


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0002_immediate_foreign_keys"), ("eventlog", "0002_number_events")]

    operations = [
        migrations.AddField("Webhook", "hears_after", models.BigIntegerField(default=0), preserve_default=False),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RemoveField("Webhook", "hears_since"),
    ]
