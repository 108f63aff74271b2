"""What members of the staff may do in their pages. Old code can run beside it: the new column has a default."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_token_purge_indexes"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="user",
            options={
                "base_manager_name": "all_objects",
                "default_manager_name": "all_objects",
                "permissions": [("appoint_staff", "Can appoint staff and say what they may do")],
            },
        ),
        migrations.AddField("user", "is_superuser", models.BooleanField(default=False, db_default=False)),
        migrations.AddField(
            "user",
            "groups",
            models.ManyToManyField(
                blank=True,
                help_text="The groups this user belongs to. A user will get all permissions granted to each of their"
                " groups.",
                related_name="user_set",
                related_query_name="user",
                to="auth.group",
                verbose_name="groups",
            ),
        ),
        migrations.AddField(
            "user",
            "user_permissions",
            models.ManyToManyField(
                blank=True,
                help_text="Specific permissions for this user.",
                related_name="user_set",
                related_query_name="user",
                to="auth.permission",
                verbose_name="user permissions",
            ),
        ),
        # Who belonged to the staff could do everything, and still can.
        migrations.RunSQL("UPDATE accounts_user SET is_superuser = true WHERE is_staff", migrations.RunSQL.noop),
    ]
