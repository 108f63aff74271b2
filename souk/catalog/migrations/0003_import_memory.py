"""What imports remember: who a seller's name became, and what a line said. Old code can run beside it: nothing read it.

Bookkeeping of `souk.catalog.operations.importing` alone, in plain tables without models. `content` is a digest of the
line but for its stock, and `stock` is what the line said: a line that says the same again changes nothing, whatever
sales and the seller have made of the product since.
"""

from django.db import migrations

SELLERS = "CREATE TABLE catalog_import_seller (name text PRIMARY KEY, user_id uuid NOT NULL)"
LINES = """
CREATE TABLE catalog_import_line (
    seller_id uuid NOT NULL,
    external_id text NOT NULL,
    product_id uuid NOT NULL,
    content bytea NOT NULL,
    stock integer NOT NULL,
    PRIMARY KEY (seller_id, external_id)
)
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_product_events")]

    operations = [
        migrations.RunSQL(SELLERS, "DROP TABLE catalog_import_seller"),
        migrations.RunSQL(LINES, "DROP TABLE catalog_import_line"),
    ]
