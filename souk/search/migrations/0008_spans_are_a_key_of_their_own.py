"""A question and its span of time are two keys of one look into the index. Old code can run beside it.

Within one key PostgreSQL goes through the whole shorter list, whatever the longer one holds; between two keys it skips
to where both can be. To look for nothing in a span of a million products takes 0.3 ms instead of 20.
"""

from importlib import import_module

from django.db import migrations

FIRST = import_module("souk.search.migrations.0003_find_products")
SHARES = import_module("souk.search.migrations.0004_look_up_by_shares")
AT_ONCE = import_module("souk.search.migrations.0006_small_and_rare_at_once")
TYPES = AT_ONCE.TYPES
_once = AT_ONCE._once

OLD_NEWEST = "-- Look up: everything" + FIRST.STEPS.partition("-- Look up: everything")[2]
LOOKED_UP = "    RETURN QUERY" + OLD_NEWEST.partition("    RETURN QUERY")[2].partition("END $$")[0]
IN_SPAN = _once(LOOKED_UP, "s.document @@ p_query\n", "s.document @@ p_query AND s.document @@ p_span\n")
NEWEST = _once(
    _once(OLD_NEWEST, "look_up_newest(p_query tsquery, ", "look_up_newest(p_query tsquery, p_span tsquery, "),
    LOOKED_UP,
    f"    IF p_span IS NULL THEN\n{LOOKED_UP}    ELSE\n{IN_SPAN}    END IF;\n",
)
LOOK_UP = _once(
    _once(AT_ONCE.LOOK_UP, "    p_query tsquery, p_from", "    p_query tsquery, p_span tsquery, p_from"),
    "look_up_newest(p_query, ",
    "look_up_newest(p_query, p_span, ",
)
PROBE = _once(
    _once(SHARES.PROBE, "matches_any(p_query tsquery)", "matches_any(p_query tsquery, p_span tsquery)"),
    "document @@ p_query ",
    "document @@ p_query AND document @@ p_span ",
)
SPANS = AT_ONCE.SPANS
for old, new in (
    ("    step tsquery;\n", "    span tsquery;\n"),
    (
        "150000;  -- expected matches that are probed at once, some 20 ns each\n",
        "40000;  -- expected matches that are probed at once: nothing where there are none, else some 0.1 us each\n",
    ),
    ("        step := p_query;\n", "        span := NULL;\n"),
    (
        "            step := p_query && quote_literal(span_lexeme(level, moment))::tsquery;\n",
        "            span := quote_literal(span_lexeme(level, moment))::tsquery;\n",
    ),
    ("matches_any(step)", "matches_any(p_query, span)"),
    ("look_up(step, ", "look_up(p_query, span, "),
):
    SPANS = _once(SPANS, old, new)
FIND = _once(AT_ONCE.FIND, "look_up(p_query, '0000", "look_up(p_query, NULL, '0000")
DROP_OLD = f"""
DROP FUNCTION look_up_newest(tsquery, uuid, uuid, bigint, {TYPES});
DROP FUNCTION look_up(tsquery, uuid, uuid, integer, {TYPES});
DROP FUNCTION matches_any(tsquery);
"""
UNDO = f"""
DROP FUNCTION look_up_newest(tsquery, tsquery, uuid, uuid, bigint, {TYPES});
DROP FUNCTION look_up(tsquery, tsquery, uuid, uuid, integer, {TYPES});
DROP FUNCTION matches_any(tsquery, tsquery);
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0007_search_server")]

    operations = [
        migrations.RunSQL(
            [NEWEST, LOOK_UP, PROBE, SPANS, FIND, DROP_OLD],
            [OLD_NEWEST, AT_ONCE.LOOK_UP, SHARES.PROBE, AT_ONCE.SPANS, AT_ONCE.FIND, UNDO],
        )
    ]
