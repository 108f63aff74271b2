"""Foreign keys of the staff's groups that lock at once, not at COMMIT. Old code can run beside it."""

from django.db import migrations

from souk.kit.migration import immediate_foreign_keys


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_staff_permissions")]

    operations = [immediate_foreign_keys("accounts_user_groups", "accounts_user_user_permissions")]
