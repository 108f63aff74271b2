"""How many users follow a user, on the user's row. Old code can run beside it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_first_party_client")]

    operations = [
        migrations.AddField(model_name="user", name="followers_count", field=models.IntegerField(db_default=0)),
    ]
