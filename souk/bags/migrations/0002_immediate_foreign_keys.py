"""Foreign keys that lock at once, not at COMMIT under the stock locks. Old code can run beside it."""

from django.db import migrations

from souk.kit.migration import immediate_foreign_keys


class Migration(migrations.Migration):
    dependencies = [("bags", "0001_initial")]

    operations = [immediate_foreign_keys("bags_bag", "bags_bagline")]
