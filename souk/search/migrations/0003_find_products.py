"""The functions that find products. Old code can run beside it: nothing called them before."""

from django.db import migrations

ASKED = """
-- What was asked, as one tsquery over the documents: words, tags, seller and steps of price. NULL asks for everything;
-- `nothing` says that no product can match (unknown tags, a question without words). `any_query` is content with one of
-- several plain words.
CREATE FUNCTION asked_query(
    p_words text, p_tags text[], p_seller uuid, p_currency text, p_least bigint, p_most bigint,
    OUT query tsquery, OUT any_query tsquery, OUT nothing boolean
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    filter tsquery;
    known integer;
    words tsquery;
BEGIN
    nothing := false;
    IF p_words IS NOT NULL THEN
        query := websearch_to_tsquery('souk_question', p_words);
        IF numnode(query) = 0 THEN
            query := websearch_to_tsquery('souk_text', p_words);
        END IF;
        nothing := numnode(query) = 0;
        words := query;
    END IF;
    IF cardinality(p_tags) > 0 THEN
        SELECT count(*), string_agg(quote_literal('#t:' || id), ' & ')::tsquery INTO known, filter
          FROM catalog_tag WHERE name = ANY (p_tags) AND deleted IS NULL;
        nothing := nothing OR known < cardinality(p_tags);
        query := coalesce(query && filter, filter);
    END IF;
    IF p_seller IS NOT NULL THEN
        filter := quote_literal('#s:' || p_seller)::tsquery;
        query := coalesce(query && filter, filter);
    END IF;
    IF NOT nothing AND (p_least > 0 OR p_most IS NOT NULL) THEN
        filter := price_query(p_currency, coalesce(p_least, 0), coalesce(p_most, 1000000000000));
        query := coalesce(query && filter, filter);
    END IF;
    -- Plain words (no phrase, no or, no not) may also be asked for singly; lexemes of words hold no blanks.
    any_query := query;
    IF words::text LIKE '% & %' AND words::text !~ ' [|<]|!' THEN
        filter := replace(words::text, ' & ', ' | ')::tsquery;
        any_query := CASE WHEN query = words THEN filter
                          ELSE filter && substr(query::text, length(words::text) + 4)::tsquery END;
    END IF;
END $$;

-- The steps and octaves that cover a range of prices: at most 14 of the first and 41 of the second.
CREATE FUNCTION price_query(p_currency text, p_least bigint, p_most bigint) RETURNS tsquery
LANGUAGE sql IMMUTABLE AS $$
    WITH bounds AS (SELECT price_step(p_least) AS low, price_step(greatest(p_least, p_most)) AS high),
    inner_octaves AS (SELECT (low + 7) / 8 AS first, (high + 1) / 8 - 1 AS last FROM bounds)
    SELECT string_agg(quote_literal(lexeme), ' | ')::tsquery
      FROM bounds, inner_octaves, LATERAL (
               SELECT '#P:' || p_currency || octave AS lexeme FROM generate_series(first, last) AS octave
                UNION ALL
               SELECT '#p:' || p_currency || step FROM generate_series(low, high) AS step
                WHERE step / 8 NOT BETWEEN first AND last
           ) covering
$$;

-- How many documents the planner expects to match, from the column's statistics. Volatile, because EXPLAIN may stand
-- nowhere else; it changes nothing.
CREATE FUNCTION expected_matches(p_query tsquery) RETURNS double precision LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM search_product WHERE document @@ %L::tsquery', p_query)
       INTO plan;
    RETURN (plan #>> '{0,Plan,Plan Rows}')::double precision;
END $$;

-- The same for the products that were published in a span of time.
CREATE FUNCTION expected_products(p_from uuid, p_before uuid) RETURNS double precision LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM search_product WHERE published_id >= %L AND published_id < %L',
                   p_from, p_before) INTO plan;
    RETURN (plan #>> '{0,Plan,Plan Rows}')::double precision;
END $$;

-- The first UUIDv7 of a moment.
CREATE FUNCTION first_uuid(milliseconds bigint) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(milliseconds), 12, '0') || '00000000000000000000')::uuid
$$
"""

CONDITIONS = """
    (p_currency IS NULL OR c.price_currency = p_currency)
    AND (p_least IS NULL OR c.price_amount >= p_least) AND (p_most IS NULL OR c.price_amount <= p_most)
    AND (SELECT u.is_active AND u.deleted IS NULL FROM accounts_user u WHERE u.id = c.seller_id)
    AND (NOT p_available OR (SELECT s.on_hand > s.reserved FROM stock_stock s WHERE s.product_id = c.product_id))
"""

FILTERS = "p_currency text, p_least bigint, p_most bigint, p_available boolean"

STEPS = f"""
-- Walk: look at the newest p_window products before the edge, one after the other, until p_wanted are found.
CREATE FUNCTION walk_newest(p_query tsquery, p_edge uuid, p_window integer, p_wanted integer, {FILTERS})
RETURNS TABLE (product_id uuid, published_id uuid)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_sort = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.product_id, c.published_id
      FROM (SELECT * FROM search_product s WHERE s.published_id < p_edge
             ORDER BY s.published_id DESC LIMIT p_window) c
     WHERE (p_query IS NULL OR c.document @@ p_query) AND {CONDITIONS}
     LIMIT p_wanted;
END $$;

-- Look up: everything that matches by the index on the documents, cut to [p_from, p_edge), newest first; whether the
-- p_most newest of it pass the filters too.
CREATE FUNCTION look_up_newest(p_query tsquery, p_from uuid, p_edge uuid, p_most_hits bigint, {FILTERS})
RETURNS TABLE (product_id uuid, published_id uuid, fits boolean)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.product_id, c.published_id, {CONDITIONS}
      FROM (SELECT * FROM (
                SELECT s.product_id, s.published_id, s.seller_id, s.price_amount, s.price_currency
                  FROM search_product s WHERE s.document @@ p_query
                OFFSET 0  -- a fence: the index on published_id is not the way to find words
            ) hit
             WHERE hit.published_id < p_edge AND hit.published_id >= p_from
             ORDER BY hit.published_id DESC LIMIT p_most_hits) c;
END $$
"""

FIND = f"""
-- The newest matching products before p_before (exclusive), and where to go on: `following` is the published_id of the
-- last one of a full page, or how far down was looked when the budget ended first; NULL when nothing is left.
CREATE FUNCTION find_newest(
    p_query tsquery, p_before uuid, p_limit integer, {FILTERS}, p_budget interval,
    OUT ids uuid[], OUT following uuid
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    edge uuid := coalesce(p_before, 'ffffffff-ffff-ffff-ffff-ffffffffffff');
    keys uuid[] := '{{}}';
    width integer := 200;
    got record;
    share double precision;
BEGIN
    ids := '{{}}';
    -- Most pages are full after a short walk, whatever is asked.
    LOOP
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
        IF p_query IS NOT NULL AND querytree(p_query) NOT IN ('T', '') THEN
            EXIT;
        END IF;
        -- Nothing that an index could answer (only a -not, only what is available): walk on.
        IF clock_timestamp() - began > p_budget THEN
            following := edge;
            RETURN;
        END IF;
        width := least(width * 5, 5000);
    END LOOP;
    SELECT f.ids[:p_limit + 1] AS ids, f.keys[:p_limit + 1] AS keys, f.edge INTO got
      FROM look_up_by_spans(p_query, edge, p_limit + 1 - cardinality(ids),
                            p_currency, p_least, p_most, p_available, p_budget) f;
    ids := ids || got.ids;
    keys := keys || got.keys;
    following := got.edge;
    IF cardinality(ids) > p_limit THEN
        ids := ids[:p_limit];
        following := keys[p_limit];
    END IF;
END $$;
"""

SPANS = f"""
-- Look up what matches before the edge: at once when little is expected, else span by span of time, backwards, within
-- the budget. `edge` is how far down was looked, NULL when nothing is left.
CREATE FUNCTION look_up_by_spans(
    p_query tsquery, p_edge uuid, p_wanted integer, {FILTERS}, p_budget interval,
    OUT ids uuid[], OUT keys uuid[], OUT edge uuid
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    few CONSTANT integer := 3000;
    -- How many matches a span may be expected to hold: more, while spans turn out to be empty.
    allowed integer := few / 10;
    began CONSTANT timestamptz := clock_timestamp();
    products double precision := (SELECT reltuples FROM pg_class WHERE oid = 'search_product'::regclass);
    expected double precision := CASE WHEN products < 10 * few THEN 0 ELSE expected_matches(p_query) END;
    newest uuid;
    moment bigint;
    from_id uuid;
    level integer := 6;
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
        IF expected > few THEN
            moment := uuid_milliseconds(newest);
            level := least(level + 1, 6);
            LOOP
                from_id := first_uuid((moment >> (12 + 4 * level)) << (12 + 4 * level));
                EXIT WHEN level = 0
                       OR expected_products(from_id, edge) * (expected / products) < allowed;
                level := level - 1;
            END LOOP;
        END IF;
        step := CASE WHEN expected > few
                     THEN p_query && quote_literal(span_lexeme(level, moment))::tsquery ELSE p_query END;
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
        allowed := CASE WHEN got.seen = 0 THEN least(allowed * 4, 3 * few) ELSE few / 10 END;
        edge := CASE WHEN expected > few THEN from_id END;
        IF edge IS NULL OR cardinality(ids) >= p_wanted OR clock_timestamp() - began > p_budget THEN
            RETURN;
        END IF;
    END LOOP;
END $$;
"""

BEST = f"""
-- How well documents fit words: the sum over the words of how rare each is (as BM25 has it, by the column's statistics)
-- times how often and where the document has it (title 1, tags 0.4, description 0.3, long texts damped); a tenth for
-- having it at all.
CREATE FUNCTION rate_products(p_words text, p_ids uuid[])
RETURNS TABLE (product_id uuid, published_id uuid, score float8)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    products double precision := (SELECT reltuples FROM pg_class WHERE oid = 'search_product'::regclass);
    lexemes text[] := tsvector_to_array(to_tsvector('souk_question', p_words));
    terms tsquery[];
    weights float8[];
BEGIN
    IF cardinality(lexemes) = 0 THEN
        lexemes := tsvector_to_array(to_tsvector('souk_text', p_words));
    END IF;
    -- Without statistics (a table that was never analysed) all words count alike.
    SELECT array_agg(term), array_agg(CASE WHEN products > 0 THEN
                                           ln(1 + (greatest(products - expected, 0) + 0.5) / (expected + 0.5))
                                      ELSE 1 END)
      INTO terms, weights
      FROM unnest(lexemes) AS lexeme, LATERAL (SELECT quote_literal(lexeme)::tsquery AS term) t,
           LATERAL (SELECT expected_matches(term) AS expected) e;
    RETURN QUERY
    SELECT s.product_id, s.published_id, (
               SELECT sum(weight * (ts_rank('{{0.3, 0.3, 0.4, 1}}', s.document, term, 1)
                                    + CASE WHEN s.document @@ term THEN 0.1 ELSE 0 END))
                 FROM unnest(terms, weights) AS t (term, weight))
      FROM search_product s WHERE s.product_id = ANY (p_ids);
END $$;

-- The best matching products after a place (score, published_id). Only the newest p_candidates that match are rated:
-- first those that have every word, then, when they are few, those that have one of them.
CREATE FUNCTION find_best(
    p_words text, p_query tsquery, p_any tsquery, p_score float8, p_before uuid, p_limit integer, {FILTERS},
    p_candidates integer, p_budget interval, OUT ids uuid[], OUT scores float8[], OUT following uuid
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    candidates uuid[];
    keys uuid[];
BEGIN
    SELECT f.ids INTO candidates
      FROM find_newest(p_query, NULL, p_candidates, p_currency, p_least, p_most, p_available, p_budget) f;
    IF cardinality(candidates) < p_candidates AND p_any <> p_query THEN
        SELECT candidates || f.ids INTO candidates
          FROM find_newest(p_any, NULL, p_candidates, p_currency, p_least, p_most, p_available, p_budget) f;
    END IF;
    SELECT coalesce(array_agg(r.product_id), '{{}}'), array_agg(r.published_id), array_agg(r.score)
      INTO ids, keys, scores
      FROM (SELECT * FROM rate_products(p_words, candidates) c
             WHERE p_before IS NULL OR (c.score, c.published_id) < (p_score, p_before)
             ORDER BY c.score DESC, c.published_id DESC LIMIT p_limit + 1) r;
    IF cardinality(ids) > p_limit THEN
        ids := ids[:p_limit];
        following := keys[p_limit];
    END IF;
END $$
"""

UNDO = """
DROP FUNCTION IF EXISTS
    find_best, rate_products, find_newest, look_up_by_spans, look_up_newest, walk_newest, first_uuid,
    expected_products, expected_matches, price_query, asked_query
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0002_keep_documents")]

    operations = [migrations.RunSQL([ASKED, STEPS, SPANS, FIND, BEST], UNDO)]
