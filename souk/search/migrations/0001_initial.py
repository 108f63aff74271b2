"""The search table, its words, and how texts are read. Old code can run beside it: nothing read them."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.contrib.postgres.operations import TrigramExtension, UnaccentExtension
from django.db import migrations, models

CONFIGURATIONS = """
-- Texts keep every word, stop words too; questions leave stop words out unless they say nothing else.
CREATE TEXT SEARCH DICTIONARY souk_stem (TEMPLATE = snowball, Language = english);
CREATE TEXT SEARCH CONFIGURATION souk_text (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION souk_text
    ALTER MAPPING FOR asciiword, asciihword, hword_asciipart WITH souk_stem;
ALTER TEXT SEARCH CONFIGURATION souk_text
    ALTER MAPPING FOR word, hword, hword_part WITH unaccent, souk_stem;
CREATE TEXT SEARCH CONFIGURATION souk_question (COPY = souk_text);
ALTER TEXT SEARCH CONFIGURATION souk_question
    ALTER MAPPING FOR asciiword, asciihword, hword_asciipart WITH english_stem;
ALTER TEXT SEARCH CONFIGURATION souk_question
    ALTER MAPPING FOR word, hword, hword_part WITH unaccent, english_stem;
CREATE TEXT SEARCH CONFIGURATION souk_spelling (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION souk_spelling
    ALTER MAPPING FOR word, hword, hword_part WITH unaccent, simple;
"""

UNDO = """
DROP TEXT SEARCH CONFIGURATION souk_spelling, souk_question, souk_text;
DROP TEXT SEARCH DICTIONARY souk_stem;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [("catalog", "0004_tag_uses"), ("stock", "0002_stock_functions")]

    operations = [
        UnaccentExtension(),
        TrigramExtension(),
        migrations.RunSQL(CONFIGURATIONS, UNDO),
        migrations.CreateModel(
            name="SearchProduct",
            fields=[
                ("product_id", models.UUIDField(primary_key=True, serialize=False)),
                ("published_id", models.UUIDField(unique=True)),
                ("seller_id", models.UUIDField()),
                ("price_amount", models.BigIntegerField()),
                ("price_currency", models.CharField(max_length=3)),
                (
                    "tag_ids",
                    django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), size=None),
                ),
                (
                    "tag_names",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), size=None),
                ),
                ("document", django.contrib.postgres.search.SearchVectorField()),
            ],
            options={
                "db_table": "search_product",
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["document"], name="search_document", fastupdate=False
                    ),
                    models.Index(fields=["seller_id", "-published_id"], name="search_newest_of_seller"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Word",
            fields=[("word", models.CharField(max_length=40, primary_key=True, serialize=False))],
            options={
                "db_table": "search_word",
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["word"], opclasses=["gin_trgm_ops"], name="search_word_near"
                    )
                ],
            },
        ),
        # How common a word is decides how it is looked for: many words, and enough rows to tell them apart.
        migrations.RunSQL(
            """
            ALTER TABLE search_product ALTER COLUMN document SET STATISTICS 1000;
            ALTER TABLE search_product ALTER COLUMN published_id SET STATISTICS 1000;
            """,
            migrations.RunSQL.noop,
        ),
    ]
