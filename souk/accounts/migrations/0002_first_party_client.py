"""The public client `souk-web`. Old code can run beside it."""

from typing import Any

from django.db import migrations


def make_client(apps: Any, schema_editor: Any) -> None:
    application = apps.get_model("oauth2_provider", "Application")
    application.objects.get_or_create(
        client_id="souk-web",
        defaults={
            "name": "Souk",
            "client_type": "public",
            "authorization_grant_type": "password",
            # A public client has no secret.
            "client_secret": "",
            "hash_client_secret": False,
        },
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("oauth2_provider", "0022_refreshtoken_token_family_index"),
    ]

    operations = [migrations.RunPython(make_client, migrations.RunPython.noop)]
