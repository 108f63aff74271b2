"""Failed events are tried again, and a new consumer begins at a recorded event. Old code can run beside it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reactions", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Beginning",
            fields=[
                ("consumer", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("after", models.UUIDField()),
            ],
        ),
        migrations.CreateModel(
            name="Retry",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "consumer", "event_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("consumer", models.SmallIntegerField()),
                ("event_id", models.UUIDField()),
                ("tries", models.SmallIntegerField()),
                ("next_try_at", models.DateTimeField()),
                ("error", models.TextField()),
            ],
            options={"indexes": [models.Index(fields=["next_try_at"], name="retry_due")]},
        ),
    ]
