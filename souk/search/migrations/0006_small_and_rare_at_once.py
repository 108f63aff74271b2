"""Rare words are looked up without a walk, small tables at once. Old code can run beside it: it calls the same."""

from importlib import import_module

from django.db import migrations

FIRST = import_module("souk.search.migrations.0003_find_products")
SHARES = import_module("souk.search.migrations.0004_look_up_by_shares")
FILTERS, TYPES = FIRST.FILTERS, "text, bigint, bigint, boolean"


def _once(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old  # noqa: S101  # the texts it is made of may change
    return text.replace(old, new)


OLD_SHARE = (
    "CREATE OR REPLACE FUNCTION share_of"
    + SHARES.STATISTICS.partition("CREATE FUNCTION share_of")[2].partition("-- About how many")[0]
)
# Most questions are one word: it is looked up and nothing is reckoned.
SHARE = _once(
    _once(
        OLD_SHARE,
        """    IF NOT EXISTS (SELECT 1 FROM search_share) THEN
        RETURN NULL;
    END IF;
""",
        """    SELECT rarest INTO share FROM search_copied;
    IF share IS NULL THEN
        RETURN NULL;
    END IF;
    IF numnode(p_query) = 1 THEN
        RETURN coalesce((SELECT s.share FROM search_share s
                          WHERE s.lexeme = (tsvector_to_array(p_query::text::tsvector))[1]), share);
    END IF;
""",
    ),
    "    share double precision;\n",
    "    share double precision;  -- of the rarest known word at first\n",
)

# What is looked up at once needs neither the edges nor the expectations of spans.
LOOK_UP = f"""
-- Look up the newest p_wanted products that match and pass the filters in [p_from, p_edge); how many matches were seen.
CREATE FUNCTION look_up(
    p_query tsquery, p_from uuid, p_edge uuid, p_wanted integer, {FILTERS},
    OUT ids uuid[], OUT keys uuid[], OUT seen bigint
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    hits bigint := 2 * p_wanted;
BEGIN
    LOOP
        SELECT coalesce(array_agg(l.product_id) FILTER (WHERE l.fits), '{{}}'),
               coalesce(array_agg(l.published_id) FILTER (WHERE l.fits), '{{}}'), count(*)
          INTO ids, keys, seen
          FROM look_up_newest(p_query, p_from, p_edge, hits, p_currency, p_least, p_most, p_available) l;
        -- Filters that are not in the index refused most of them: once more, with all there are.
        EXIT WHEN hits IS NULL OR seen < hits OR cardinality(ids) >= p_wanted;
        hits := NULL;
    END LOOP;
END $$;
"""
LOOP = (
    "        hits := 2 * (p_wanted"
    + SHARES.SPANS.partition("        hits := 2 * (p_wanted")[2].partition("        ids := ids || got.ids;")[0]
)
SPANS = _once(
    _once(SHARES.SPANS, "    hits bigint;\n", ""),
    LOOP,
    """        SELECT * INTO got
          FROM look_up(step, from_id, edge, p_wanted - cardinality(ids), p_currency, p_least, p_most, p_available);
""",
)

FIND = f"""
-- The newest matching products before p_before (exclusive), and where to go on: `following` is the published_id of the
-- last one of a full page, or how far down was looked when the budget ended first; NULL when nothing is left.
CREATE OR REPLACE FUNCTION find_newest(
    p_query tsquery, p_before uuid, p_limit integer, {FILTERS}, p_budget interval,
    OUT ids uuid[], OUT following uuid
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    edge uuid := coalesce(p_before, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    keys uuid[] := '{{}}';
    width integer := 200;
    got record;
    indexed CONSTANT boolean := p_query IS NOT NULL AND querytree(p_query) NOT IN ('T', '');
    products double precision;
    share double precision;
    -- Matches that are fetched at once. A small table lies in memory, where to fetch some thousand rows takes less time
    -- than to find out which ones to leave.
    fetched integer;
BEGIN
    ids := '{{}}';
    IF indexed THEN
        products := (SELECT reltuples FROM pg_class WHERE oid = 'search_product'::regclass);
        fetched := CASE WHEN products < 100000 THEN 3000 ELSE 500 END;
        share := share_of(p_query);
    END IF;
    -- Most pages are full after a short walk, whatever is asked. Not those of rare words: all of these are looked up in
    -- less time than such a walk takes.
    WHILE coalesce(share > 0.05 OR products * share > 500, true) LOOP
        SELECT array_agg(w.product_id) AS ids, array_agg(w.published_id) AS keys INTO got
          FROM walk_newest(p_query, edge, width, p_limit + 1 - cardinality(ids),
                           p_currency, p_least, p_most, p_available) w;
        ids := ids || coalesce(got.ids, '{{}}');
        keys := keys || coalesce(got.keys, '{{}}');
        IF cardinality(ids) > p_limit THEN
            ids := ids[:p_limit];
            following := keys[p_limit];
            RETURN;
        END IF;
        SELECT s.published_id INTO edge FROM search_product s WHERE s.published_id < edge
         ORDER BY s.published_id DESC OFFSET width - 1 LIMIT 1;
        IF edge IS NULL THEN
            RETURN;
        END IF;
        EXIT WHEN indexed;
        -- Nothing that an index could answer (only a -not, only what is available): walk on.
        IF clock_timestamp() - began > p_budget THEN
            following := edge;
            RETURN;
        END IF;
        width := least(width * 5, 5000);
    END LOOP;
    IF coalesce(products * share, 0) <= fetched THEN
        SELECT f.ids, f.keys, NULL::uuid AS edge INTO got
          FROM look_up(p_query, '00000000-0000-0000-0000-000000000000', edge, p_limit + 1 - cardinality(ids),
                       p_currency, p_least, p_most, p_available) f;
    ELSE
        SELECT f.ids, f.keys, f.edge INTO got
          FROM look_up_by_spans(p_query, edge, p_limit + 1 - cardinality(ids),
                                p_currency, p_least, p_most, p_available, p_budget) f;
    END IF;
    -- The newest of what was looked up: without an edge that may be more than was wanted.
    ids := ids || got.ids[:p_limit + 1];
    keys := keys || got.keys[:p_limit + 1];
    following := got.edge;
    IF cardinality(ids) > p_limit THEN
        ids := ids[:p_limit];
        following := keys[p_limit];
    END IF;
END $$;
"""
OLD_FIND = _once(FIRST.FIND, "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


UNDO = f"DROP FUNCTION look_up(tsquery, uuid, uuid, integer, {TYPES})"


class Migration(migrations.Migration):
    dependencies = [("search", "0005_settle_documents_in_batches")]

    operations = [migrations.RunSQL([SHARE, LOOK_UP, SPANS, FIND], [OLD_FIND, SHARES.SPANS, UNDO, OLD_SHARE])]
