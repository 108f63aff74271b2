"""How common words are, in a table; probing before fetching. Old code can run beside it: signatures are the same."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("souk.search.migrations.0003_find_products")
FILTERS = BEFORE.FILTERS

STATISTICS = """
-- What share of the documents has a lexeme, for the most common ones, and when the first of each thousandth of the
-- products was published: copies of the planner's statistics. To ask the planner itself (EXPLAIN) takes longer than to
-- find the products.
CREATE TABLE search_share (lexeme text PRIMARY KEY, share double precision NOT NULL);
CREATE TABLE search_step (milliseconds bigint PRIMARY KEY, place integer NOT NULL, length bigint NOT NULL);
CREATE TABLE search_copied (id integer PRIMARY KEY CHECK (id = 1), analysed timestamptz, rarest double precision);

-- Copy them, when the table has been analysed since; returns whether it had been.
CREATE FUNCTION copy_search_statistics() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    latest timestamptz;
BEGIN
    PERFORM pg_stat_clear_snapshot();
    SELECT greatest(last_analyze, last_autoanalyze) INTO latest
      FROM pg_stat_user_tables WHERE relid = 'search_product'::regclass;
    IF latest IS NULL OR EXISTS (SELECT 1 FROM search_copied WHERE analysed >= latest)
       OR NOT pg_try_advisory_xact_lock(hashtextextended('souk.search_statistics', 0)) THEN
        RETURN false;
    END IF;
    DELETE FROM search_share;
    DELETE FROM search_step;
    INSERT INTO search_share
    SELECT lexeme, max(share)
      FROM pg_stats s, unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs) AS common (lexeme, share)
     WHERE s.schemaname = current_schema() AND s.tablename = 'search_product' AND s.attname = 'document'
       AND lexeme IS NOT NULL
     GROUP BY lexeme;
    INSERT INTO search_step
    SELECT milliseconds, place, coalesce(lead(milliseconds) OVER (ORDER BY milliseconds) - milliseconds, 1)
      FROM (SELECT uuid_milliseconds(published_id) AS milliseconds, max(place) AS place
              FROM pg_stats s,
                   unnest(s.histogram_bounds::text::uuid[]) WITH ORDINALITY AS step (published_id, place)
             WHERE s.schemaname = current_schema() AND s.tablename = 'search_product' AND s.attname = 'published_id'
             GROUP BY milliseconds) steps;
    INSERT INTO search_copied SELECT 1, latest, min(share) / 2 FROM search_share
        ON CONFLICT (id) DO UPDATE SET analysed = excluded.analysed, rarest = excluded.rarest;
    RETURN true;
END $$;

-- The share of the documents that should match: exact for one lexeme that is common, a product where all of several
-- must be there. NULL where there are no statistics.
CREATE FUNCTION share_of(p_query tsquery) RETURNS double precision LANGUAGE plpgsql STABLE AS $$
DECLARE
    share double precision;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM search_share) THEN
        RETURN NULL;
    END IF;
    -- Alternatives (prices are such) are too rare for a reckoning of their own.
    IF p_query::text LIKE '% | %' THEN
        RETURN expected_matches(p_query)
               / greatest((SELECT reltuples FROM pg_class WHERE oid = 'search_product'::regclass), 1);
    END IF;
    -- The text of a question, read as a document, has its lexemes and its signs.
    SELECT exp(sum(ln(coalesce(s.share, c.rarest)))) INTO share
      FROM search_copied c, unnest(tsvector_to_array(p_query::text::tsvector)) AS asked (lexeme)
      LEFT JOIN search_share s USING (lexeme)
     WHERE asked.lexeme NOT IN ('&', '(', ')') AND asked.lexeme NOT LIKE '!%' AND asked.lexeme NOT LIKE '<%';
    RETURN share;
END $$;

-- About how many thousandths (more exactly: steps) of the products were published before a moment.
CREATE FUNCTION steps_before(p_milliseconds bigint) RETURNS double precision LANGUAGE sql STABLE STRICT AS $$
    SELECT place + least((p_milliseconds - milliseconds)::float8 / length, 1)
      FROM search_step WHERE milliseconds <= p_milliseconds ORDER BY milliseconds DESC LIMIT 1
$$;
"""

PROBE = """
-- Whether anything matches; it reads the index for all of it, but only the first row.
CREATE FUNCTION matches_any(p_query tsquery) RETURNS boolean LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_indexscan = off AS $$
BEGIN
    PERFORM 1 FROM search_product WHERE document @@ p_query LIMIT 1;
    RETURN FOUND;
END $$;
"""

SPANS = f"""
-- Look up what matches before the edge: at once when little is expected, else span by span of time, backwards, within
-- the budget. A span that may hold too much to be fetched is probed: when it is empty it is left out as a whole, when
-- it is not its parts are looked at. `edge` is how far down was looked, NULL when nothing is left.
CREATE OR REPLACE FUNCTION look_up_by_spans(
    p_query tsquery, p_edge uuid, p_wanted integer, {FILTERS}, p_budget interval,
    OUT ids uuid[], OUT keys uuid[], OUT edge uuid
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    fetched CONSTANT integer := 500;  -- expected matches that are fetched at once
    probed CONSTANT integer := 150000;  -- expected matches that are probed at once, some 20 ns each
    allowed integer := fetched;
    began CONSTANT timestamptz := clock_timestamp();
    products CONSTANT double precision := (SELECT reltuples FROM pg_class WHERE oid = 'search_product'::regclass);
    expected CONSTANT double precision := coalesce(products * share_of(p_query), 0);
    bounded CONSTANT boolean := expected > fetched;
    newest uuid;
    moment bigint;
    from_id uuid;
    level integer := 6;
    start bigint;
    full_below bigint[] := array_fill(9223372036854775807, ARRAY[7]);
    here double precision;
    steps CONSTANT double precision := (SELECT place FROM search_step ORDER BY milliseconds DESC LIMIT 1);
    before double precision;
    step tsquery;
    hits bigint;
    got record;
BEGIN
    ids := '{{}}';
    keys := '{{}}';
    edge := p_edge;
    LOOP
        SELECT s.published_id INTO newest FROM search_product s WHERE s.published_id < edge
         ORDER BY s.published_id DESC LIMIT 1;
        IF newest IS NULL THEN
            edge := NULL;
            RETURN;
        END IF;
        from_id := '00000000-0000-0000-0000-000000000000';
        step := p_query;
        here := expected;
        IF bounded THEN
            moment := uuid_milliseconds(newest);
            before := steps_before(moment + 1);
            -- The widest span that is allowed and not known to hold something (full_below[level + 1] is where the one
            -- that does begins).
            LOOP
                start := (moment >> (12 + 4 * level)) << (12 + 4 * level);
                here := expected * coalesce((before - coalesce(steps_before(start), 0)) / steps, 1);
                EXIT WHEN level = 0 OR here <= allowed AND full_below[level + 1] > start;
                level := level - 1;
            END LOOP;
            from_id := first_uuid(start);
            step := p_query && quote_literal(span_lexeme(level, moment))::tsquery;
            IF here > fetched AND level > 0 THEN
                IF matches_any(step) THEN
                    full_below[level + 1] := start;
                    level := level - 1;
                ELSE
                    edge := from_id;
                    level := least(level + 1, 6);
                    allowed := probed;
                    IF clock_timestamp() - began > p_budget THEN
                        RETURN;
                    END IF;
                END IF;
                CONTINUE;
            END IF;
        END IF;
        hits := 2 * (p_wanted - cardinality(ids));
        LOOP
            SELECT coalesce(array_agg(l.product_id) FILTER (WHERE l.fits), '{{}}') AS ids,
                   coalesce(array_agg(l.published_id) FILTER (WHERE l.fits), '{{}}') AS keys, count(*) AS seen
              INTO got
              FROM look_up_newest(step, from_id, edge, hits, p_currency, p_least, p_most, p_available) l;
            -- Filters that are not in the index refused most of them: once more, with all there are.
            EXIT WHEN hits IS NULL OR got.seen < hits OR cardinality(ids) + cardinality(got.ids) >= p_wanted;
            hits := NULL;
        END LOOP;
        ids := ids || got.ids;
        keys := keys || got.keys;
        edge := CASE WHEN bounded THEN from_id END;
        IF edge IS NULL OR cardinality(ids) >= p_wanted OR clock_timestamp() - began > p_budget THEN
            RETURN;
        END IF;
        allowed := CASE WHEN got.seen = 0 THEN probed ELSE fetched END;
        level := least(level + CASE WHEN got.seen = 0 THEN 1 ELSE 0 END, 6);
    END LOOP;
END $$;
"""

OLD_RATED = BEFORE.BEST.partition("-- The best matching products")[0].replace(
    "CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"
)
RATED = OLD_RATED.replace("expected_matches(term)", "products * share_of(term)").replace(
    "CASE WHEN products > 0 THEN", "CASE WHEN expected IS NOT NULL THEN"
)
UNDO = """
DROP FUNCTION matches_any, steps_before, share_of, copy_search_statistics;
DROP TABLE search_share, search_step, search_copied;
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0003_find_products")]

    operations = [
        migrations.RunSQL(
            [STATISTICS, PROBE, SPANS, RATED],
            [BEFORE.SPANS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"), OLD_RATED, UNDO],
        )
    ]
