"""Foreign keys that lock at once, not at COMMIT. Old code can run beside it."""

from django.db import migrations

from souk.kit.migration import immediate_foreign_keys


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_initial")]

    operations = [
        immediate_foreign_keys("webhooks_webhook", "webhooks_delivery"),
    ]
