"""Foreign keys that lock at once, not at COMMIT. Old code can run beside it."""

from django.db import migrations

from souk.kit.migration import immediate_foreign_keys


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_follows_and_mails")]

    operations = [immediate_foreign_keys("accounts_follow", "accounts_mailedtoken")]
