"""What a search server has still to hear, and what must be in it. Old code can run beside it: it knows neither."""

from django.db import migrations, models

import souk.eventlog.models

MARKS = "CREATE SEQUENCE search_mark"
# What the document of a product must be. The version is the number of its last event: whatever a document shows changes
# with one, in the same transaction; a repair raises it by far more.
CONTENTS = """
CREATE FUNCTION search_contents(p_ids uuid[]) RETURNS TABLE (
    product_id uuid, version bigint, visible boolean, published_id uuid, title text, description text, tags text[],
    price bigint, currency text, available boolean, seller uuid, created timestamptz, checksum bigint
) LANGUAGE sql STABLE AS $$
    SELECT c.*, ('x' || left(md5(row(c.*)::text), 8))::bit(32)::bigint
      FROM (SELECT p.id,
                   s.last_sequence
                   + coalesce((SELECT r.times FROM search_repair r WHERE r.product_id = p.id), 0) * 4294967296,
                   p.state = 'ACTIVE' AND p.deleted IS NULL AND u.is_active AND u.deleted IS NULL,
                   p.published_id, p.title::text, p.description::text,
                   ARRAY(SELECT t.name::text FROM catalog_producttag w JOIN catalog_tag t ON t.id = w.tag_id
                          WHERE w.product_id = p.id AND w.deleted IS NULL AND t.deleted IS NULL ORDER BY t.name),
                   p.price_amount, p.price_currency::text, s.on_hand > s.reserved, p.seller_id, p.created
              FROM catalog_product p
              JOIN stock_stock s ON s.product_id = p.id JOIN accounts_user u ON u.id = p.seller_id
             WHERE p.id = ANY (p_ids)) c
$$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("search", "0006_small_and_rare_at_once"),
        ("catalog", "0006_event_data_in_line"),
        ("stock", "0003_fewer_statements_under_the_lock"),
    ]

    operations = [
        migrations.CreateModel(
            name="Outdated",
            fields=[
                ("product_id", models.UUIDField(primary_key=True, serialize=False)),
                ("mark", models.BigIntegerField()),
                ("since", models.DateTimeField(db_default=souk.eventlog.models.ClockTimestamp())),
                ("taken_until", models.DateTimeField()),
                ("tries", models.SmallIntegerField(db_default=0)),
                ("error", models.TextField(db_default="")),
            ],
            options={
                "db_table": "search_outdated",
                "indexes": [models.Index(fields=["since"], name="search_outdated_oldest")],
            },
        ),
        migrations.CreateModel(
            name="Index",
            fields=[
                ("name", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("made", models.DateTimeField(db_default=souk.eventlog.models.ClockTimestamp())),
            ],
            options={"db_table": "search_index"},
        ),
        migrations.CreateModel(
            name="Repair",
            fields=[
                ("product_id", models.UUIDField(primary_key=True, serialize=False)),
                ("times", models.IntegerField()),
            ],
            options={"db_table": "search_repair"},
        ),
        migrations.CreateModel(
            name="Freshness",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("heard", models.DateTimeField()),
            ],
            options={"db_table": "search_freshness"},
        ),
        migrations.RunSQL([MARKS, CONTENTS], "DROP FUNCTION search_contents; DROP SEQUENCE search_mark"),
    ]
