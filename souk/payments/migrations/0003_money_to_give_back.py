"""Payments remember that money is to be given back. Old code can run beside it: the columns have defaults."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("payments", "0002_provider_charge"),
    ]

    operations = [
        migrations.AddField(
            model_name="payment",
            name="refund_due_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("refund_due_at__isnull", False)),
                fields=["refund_due_at"],
                name="payment_to_be_refunded",
            ),
        ),
    ]
