"""The data of product events is made within the statement that tells them. Old code can run beside it."""

from django.db import migrations

# What depends on settings, as jsonb_build_object may, is not put into a statement out of an IMMUTABLE function.
FORWARD = "ALTER FUNCTION product_event_data(catalog_product) STABLE"
BACK = "ALTER FUNCTION product_event_data(catalog_product) IMMUTABLE"


class Migration(migrations.Migration):
    dependencies = [("catalog", "0005_moments_of_ids")]

    operations = [migrations.RunSQL(FORWARD, BACK)]
