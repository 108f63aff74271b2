"""Entries of the document index are gathered and settled once per statement. Old code can run beside it.

An index without a pending list takes each of the forty lexemes of each product by itself: 60 to 130 us a product. Put
into the list and settled by whole batches they take 15 to 27. The list is settled before the statement ends, so that
no search reads a long one.
"""

from importlib import import_module

import django.contrib.postgres.indexes
from django.db import migrations

BEFORE = import_module("souk.search.migrations.0002_keep_documents")

SETTLE = """
-- Only the index's owner may settle it; who writes products may be another role.
CREATE FUNCTION settle_documents() RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT gin_clean_pending_list('search_document'::regclass)
$$
"""
OLD_INDEX = BEFORE.INDEX.partition("-- An import says")[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
INDEX = OLD_INDEX.replace(
    "    INSERT INTO search_word\n", "    PERFORM settle_documents();\n    INSERT INTO search_word\n"
)
# Casts that PostgreSQL can put into the statement that uses the function, as it cannot what depends on settings.
OLD_SPAN = """
CREATE OR REPLACE FUNCTION span_lexeme(level integer, milliseconds bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT '#' || level || ':' || to_hex(milliseconds >> (12 + 4 * level))
$$
"""
SPAN = OLD_SPAN.replace("|| level ||", "|| level::text ||")
assert "PERFORM settle_documents()" in INDEX and SPAN != OLD_SPAN  # noqa: S101, PT018  # the texts they are made of may change


def _index(*, fastupdate: bool) -> list[migrations.operations.base.Operation]:
    index = django.contrib.postgres.indexes.GinIndex(fields=["document"], name="search_document", fastupdate=fastupdate)
    return [
        migrations.RemoveIndex(model_name="searchproduct", name="search_document"),
        migrations.AddIndex(model_name="searchproduct", index=index),
    ]


class Migration(migrations.Migration):
    dependencies = [("search", "0004_look_up_by_shares")]

    operations = [
        migrations.RunSQL(
            "ALTER INDEX search_document SET (fastupdate = on)",
            "ALTER INDEX search_document SET (fastupdate = off)",
            state_operations=_index(fastupdate=True),
        ),
        migrations.RunSQL([SETTLE, INDEX, SPAN], [OLD_SPAN, OLD_INDEX, "DROP FUNCTION settle_documents"]),
    ]
