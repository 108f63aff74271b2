"""What the clock's last comparison of the books found. Old code can run beside it: it knows nothing of it."""

from django.db import migrations, models

import souk.eventlog.models


class Migration(migrations.Migration):
    dependencies = [("orders", "0004_open_and_hold")]

    operations = [
        migrations.CreateModel(
            name="BookCheck",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("drifting", models.IntegerField()),
                ("at", models.DateTimeField(db_default=souk.eventlog.models.ClockTimestamp())),
            ],
        ),
    ]
