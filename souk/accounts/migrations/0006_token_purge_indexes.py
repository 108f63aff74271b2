"""Dead tokens are found by index: the toolkit has none for that. Old code can run beside it."""

from django.db import migrations

INDEXES = {
    "souk_accesstoken_expires": "oauth2_provider_accesstoken (expires)",
    "souk_refreshtoken_revoked": "oauth2_provider_refreshtoken (revoked) WHERE revoked IS NOT NULL",
    "souk_refreshtoken_orphan": ("oauth2_provider_refreshtoken (id) WHERE revoked IS NULL AND access_token_id IS NULL"),
    "souk_grant_expires": "oauth2_provider_grant (expires)",
}


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_immediate_foreign_keys"),
        ("oauth2_provider", "0022_refreshtoken_token_family_index"),
    ]

    operations = [
        migrations.RunSQL(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}", f"DROP INDEX IF EXISTS {name}")
        for name, columns in INDEXES.items()
    ]
