"""Documents are put together from rows that are found by their keys, whatever the statistics say. Old code can go on.

While an empty shop is filled there are none, and PostgreSQL went through all tags for each product: half of what a
product of an import took with 120 tags, and more with more of them.
"""

from importlib import import_module

from django.db import migrations

FIRST = import_module("souk.search.migrations.0002_keep_documents")

PRODUCTS = "      FROM catalog_product p,\n"
# Each OFFSET 0 is a fence: what stands before it is looked up row by row, by the primary key. Whether a row counts is
# asked behind it: an index of those that count alone, which is taken for small as long as nothing is known of it, must
# not be the way.
PRODUCTS_BY_KEY = """\
      FROM unnest(p_ids) AS asked (id), LATERAL (SELECT * FROM catalog_product WHERE id = asked.id OFFSET 0) p,
"""
TAGS = "                 FROM catalog_producttag w JOIN catalog_tag t ON t.id = w.tag_id\n"
TAGS_BY_KEY = """\
                 FROM (SELECT * FROM catalog_producttag WHERE product_id = p.id AND deleted IS NULL OFFSET 0) w,
                      LATERAL (SELECT * FROM catalog_tag WHERE id = w.tag_id OFFSET 0) t
"""
GIVEN = "p.id = ANY (p_ids) AND "
WORN = "w.product_id = p.id AND w.deleted IS NULL AND "
OLD = FIRST.DOCUMENTS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
assert [OLD.count(text) for text in (PRODUCTS, TAGS, GIVEN, WORN)] == [2, 2, 2, 2]  # noqa: S101  # it may change
NEW = OLD.replace(PRODUCTS, PRODUCTS_BY_KEY).replace(TAGS, TAGS_BY_KEY).replace(GIVEN, "").replace(WORN, "")


class Migration(migrations.Migration):
    dependencies = [("search", "0009_look_by_candidates")]

    operations = [migrations.RunSQL(NEW, OLD)]
