"""The stand-in provider's book. Old code can run beside it: it does not know the table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProviderCharge",
            fields=[
                ("key", models.UUIDField(primary_key=True, serialize=False)),
                ("charge_id", models.CharField(max_length=100)),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("refunded", models.BooleanField(default=False)),
            ],
        ),
    ]
