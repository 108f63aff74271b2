"""Sorting what was found costs less, one seller's products are walked over, and looks go as far as a page needs.

Of a rare seller with a common word every candidate had PostgreSQL unpack another page of that word's entries. Old code
can go on.
"""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("souk.search.migrations.0009_look_by_candidates")
TWO_KEYS = BEFORE.TWO_KEYS
FILTERS, TYPES, CONDITIONS, WALK = BEFORE.FILTERS, BEFORE.TYPES, BEFORE.CONDITIONS, BEFORE.WALK

FETCHED = "".join(
    f"""    WHEN {number} THEN
        SELECT array_agg(hit.published_id ORDER BY hit.published_id)
                   FILTER (WHERE hit.published_id >= p_from AND hit.published_id < p_edge), count(*)
          INTO found, seen
          FROM (SELECT s.published_id FROM search_product s
                 WHERE {" AND ".join(f"s.document @@ p_keys[{key + 1}]" for key in range(number))}
                 LIMIT p_bound + 1) hit;
"""
    for number in (1, 2, 3, 4, 5)
)
LOOK = f"""
-- Look into the index for what matches all of one to five questions: the newest p_wanted in [p_from, p_edge) that pass
-- the filters too, and how much matches on both sides of the edges (`seen`). More than p_bound is not fetched: then
-- `seen` is p_bound + 1 and the rest means nothing. Each question is a key of its own: between keys PostgreSQL skips to
-- where all of them can be. The newest are taken from the end of an ascending order, in which rows mostly lie already:
-- sorting them so is hardly more than reading them.
CREATE OR REPLACE FUNCTION look_for(
    p_keys tsquery[], p_from uuid, p_edge uuid, p_wanted integer, p_bound bigint, {FILTERS},
    OUT ids uuid[], OUT keys uuid[], OUT seen bigint
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    found uuid[];
    -- Twice as many where a filter may refuse some. A seller who may not sell is rare.
    hits bigint := CASE WHEN p_available OR p_currency IS NOT NULL THEN 2 ELSE 1 END * p_wanted;
    near bigint;
BEGIN
    ids := '{{}}';
    keys := '{{}}';
    CASE cardinality(p_keys)
{FETCHED}    END CASE;
    WHILE seen > 0 AND coalesce(seen <= p_bound, true) LOOP
        SELECT coalesce(array_agg(l.product_id ORDER BY l.published_id DESC) FILTER (WHERE l.fits), '{{}}'),
               coalesce(array_agg(l.published_id ORDER BY l.published_id DESC) FILTER (WHERE l.fits), '{{}}'), count(*)
          INTO ids, keys, near
          FROM (SELECT c.product_id, c.published_id, {CONDITIONS} AS fits
                  FROM unnest(found[coalesce(greatest(cardinality(found) - hits, 0), 0) + 1:]) AS hit (key)
                  JOIN search_product c ON c.published_id = hit.key) l;
        -- Filters that are not in the index refused most of them: once more, with all there are.
        EXIT WHEN hits IS NULL OR near < hits OR cardinality(ids) >= p_wanted;
        hits := NULL;
    END LOOP;
END $$;
"""

SELLER = f"""
-- The seller whose products alone are asked for, as the question's lexeme says; NULL where it names none that must be.
CREATE FUNCTION seller_asked(p_query tsquery) RETURNS uuid LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    bare text := p_query::text;
BEGIN
    IF bare NOT LIKE '%''#s:%' THEN
        RETURN NULL;
    END IF;
    bare := regexp_replace(bare, '!*\\( [^()]* \\)', '', 'g');
    RETURN CASE WHEN bare NOT LIKE '% | %' AND bare NOT LIKE '%(%'
        THEN substring(bare FROM '(?:^| & )''#s:([0-9a-f-]{{36}})''(?: & |$)') END;
END $$;

-- Walk over p_window of a seller's products before the edge, newest first: the newest p_wanted that match and pass the
-- filters. One seller's lie together in an index of their own. `edge` is how far down was walked, NULL when that was
-- all.
CREATE FUNCTION walk_seller(
    p_seller uuid, p_query tsquery, p_edge uuid, p_window integer, p_wanted integer, {FILTERS},
    OUT ids uuid[], OUT keys uuid[], OUT edge uuid
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_sort = off AS $$
#variable_conflict use_column
BEGIN
    SELECT coalesce(array_agg(w.product_id), '{{}}'), coalesce(array_agg(w.published_id), '{{}}') INTO ids, keys
      FROM (SELECT c.product_id, c.published_id
              FROM (SELECT * FROM search_product s WHERE s.seller_id = p_seller AND s.published_id < p_edge
                     ORDER BY s.published_id DESC LIMIT p_window) c
             WHERE c.document @@ p_query AND {CONDITIONS}
             LIMIT p_wanted) w;
    SELECT s.published_id INTO edge FROM search_product s WHERE s.seller_id = p_seller AND s.published_id < p_edge
     ORDER BY s.published_id DESC OFFSET p_window - 1 LIMIT 1;
END $$;
"""
SPANS = f"""
-- Look up what matches before the edge, span by span of time, backwards, within the budget. How far a look goes follows
-- from what it has to go through (`allowed`), and from what was seen: further where there is little, less far where
-- there is too much. `edge` is how far down was looked, NULL when nothing is left.
CREATE FUNCTION look_up_by_spans(
    p_parts tsquery[], p_candidates double precision, p_matches double precision, p_edge uuid, p_wanted integer,
    {FILTERS}, p_budget interval,
    OUT ids uuid[], OUT keys uuid[], OUT edge uuid
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    few CONSTANT boolean := p_candidates < 30000;
    -- Matches that are fetched and sorted. There are hardly more of what is rare.
    most CONSTANT bigint := greatest(CASE WHEN p_candidates <= 5000 THEN 5000 ELSE 500 END, 3 * p_wanted);
    -- Entries to go through, some 0.2 us each. Where one key does not tell whether a candidate matches, thirty entries
    -- of the span, which are skipped from one candidate to the next, cost as much as one.
    expected CONSTANT double precision := p_candidates + CASE
        WHEN cardinality(p_parts) = 1 AND p_parts[1]::text NOT LIKE '%<%' THEN 0
        ELSE (SELECT 0.03 * reltuples FROM pg_class WHERE oid = 'search_product'::regclass) END;
    -- The longest look: where nothing is there are as many fewer looks as they are longer, and where something begins
    -- the one that meets it goes through half of it in vain.
    furthest CONSTANT double precision := CASE WHEN few THEN 24000 ELSE least(18 * sqrt(expected), 20000) END;
    steps CONSTANT double precision := (SELECT place FROM search_step ORDER BY milliseconds DESC LIMIT 1);
    -- As far as twice what is wanted should be, where that is not too far for a first look.
    first CONSTANT double precision := greatest(
        200, 2 * p_wanted, least(furthest / 4, expected * 2 * p_wanted / greatest(p_matches, 1)));
    allowed double precision := first;
    narrow bigint;     -- no look goes over more milliseconds, until
    full_from bigint;  -- it is past the last span that held too much
    newest uuid;
    moment bigint;
    level integer := 6;
    width bigint;      -- of one span of this level, in milliseconds
    number integer;    -- of spans in one look
    start bigint;
    before double precision;
    here double precision;
    looked double precision;
    span tsquery;
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
        moment := uuid_milliseconds(newest);
        before := steps_before(moment + 1);
        level := least(level + 1, 6);
        LOOP
            width := 1::bigint << (12 + 4 * level);
            start := moment / width * width;
            here := coalesce(expected * (before - coalesce(steps_before(start), 0)) / steps, 0);
            EXIT WHEN level = 0 OR here <= allowed AND (narrow IS NULL OR width <= narrow);
            level := level - 1;
        END LOOP;
        -- As many more spans of this size as are allowed, if they hold as much as the first.
        number := 1 + floor(least(greatest(
            (allowed - here) / greatest(here * width / (moment + 1 - start), allowed / 16), 0), 14));
        number := least(number, greatest(coalesce(narrow / width, number), 1), start / width + 1);
        start := start - (number - 1) * width;
        SELECT string_agg(quote_literal(span_lexeme(level, moment - place * width)), ' | ')::tsquery INTO span
          FROM generate_series(0, number - 1) AS place;
        -- The span goes first, so that PostgreSQL begins and ends with it. Of few candidates it begins with the first
        -- that all parts match: a span of millions, of which each has it read another page, would cost more than they.
        -- What was published in the same four seconds cannot be parted: an import, say.
        SELECT * INTO got
          FROM look_for(CASE WHEN few THEN p_parts || span ELSE span || p_parts END,
                        first_uuid(start), edge, p_wanted - cardinality(ids),
                        CASE WHEN level + number > 1 THEN most END, p_currency, p_least, p_most, p_available);
        IF got.seen > most AND level + number > 1 THEN
            full_from := start;
            narrow := (moment + 1 - start) / 16;
            allowed := first;
        ELSE
            ids := ids || got.ids;
            keys := keys || got.keys;
            edge := first_uuid(start);
            IF cardinality(ids) >= p_wanted THEN
                RETURN;
            ELSIF start <= full_from THEN
                narrow := NULL;
            END IF;
            IF got.seen < most / 8 THEN
                -- As far as twice the rest should be by what was found here, or four times as far as this time.
                looked := expected * (before - coalesce(steps_before(start), 0)) / steps;
                allowed := least(4 * allowed, furthest, CASE WHEN cardinality(got.ids) >= 3 THEN
                    greatest(200, 2 * (p_wanted - cardinality(ids)) * looked / cardinality(got.ids)) END);
            END IF;
        END IF;
        -- Not before the first step down: a page that ends where it began would be asked for again, for ever.
        IF edge < p_edge AND clock_timestamp() - began > p_budget THEN
            RETURN;
        END IF;
    END LOOP;
END $$;
"""

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
    products CONSTANT double precision := (SELECT reltuples FROM pg_class WHERE oid = 'search_product'::regclass);
    -- Candidates that are looked at at once. A small table lies in memory, where to fetch some thousand rows takes less
    -- time than to find out which ones to leave.
    few CONSTANT integer := CASE WHEN products < 100000 THEN 1000 ELSE 500 END;
    asked record;
    matches double precision;
    candidates double precision;
    bound CONSTANT bigint := greatest(few, 3 * p_limit);
    lowest CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    is_all boolean := false;
    seller uuid;
    likely double precision;
    before_walk integer;
    walks boolean;
BEGIN
    ids := '{{}}';
    IF indexed THEN
        SELECT * INTO asked FROM reckoned(p_query);
        matches := products * asked.share;
        candidates := products * asked.candidates;
    END IF;
    seller := seller_asked(p_query);
    IF seller IS NOT NULL THEN
        SELECT * INTO got
          FROM walk_seller(seller, p_query, edge, CASE WHEN candidates <= few THEN 200 ELSE 2000 END, p_limit + 1,
                           p_currency, p_least, p_most, p_available);
        ids := got.ids;
        keys := got.keys;
        edge := got.edge;
        IF cardinality(ids) > p_limit THEN
            ids := ids[:p_limit];
            following := keys[p_limit];
        END IF;
        IF cardinality(ids) = p_limit AND following IS NOT NULL OR edge IS NULL THEN
            RETURN;
        END IF;
    END IF;
    before_walk := cardinality(ids);
    walks := coalesce(matches > 0.05 * products OR matches > 0.005 * products AND matches > 500, true);
    -- Most pages are full after a short walk, whatever is asked. Not those of rare words: these are looked up in less
    -- time than such a walk takes.
    WHILE walks LOOP
{WALK}    likely := matches;
    IF walks AND indexed THEN
        -- What the newest have less of than all is likelier to be further down.
        likely := matches * least(1, (cardinality(ids) - before_walk + 4) / (width * matches / products + 4));
    END IF;
    IF candidates <= few THEN
        SELECT * INTO got
          FROM look_for(ARRAY[p_query], lowest, edge, p_limit + 1 - cardinality(ids), bound,
                        p_currency, p_least, p_most, p_available);
        is_all := got.seen <= bound;
        IF NOT is_all THEN
            -- The statistics are older than many products: it may be in all of them.
            candidates := greatest(0.05 * products, 200000);
            likely := candidates;
        END IF;
    ELSIF candidates <= 8000 AND matches > few AND cardinality(asked.parts) > 1 THEN
        -- The rarest part may be much rarer than the statistics know.
        SELECT CASE WHEN f.seen <= 200 THEN 0 ELSE candidates END INTO candidates
          FROM look_for(asked.parts[:1], edge, edge, 0, 200, p_currency, p_least, p_most, p_available) f;
    END IF;
    IF NOT is_all AND coalesce(candidates <= CASE WHEN matches <= few THEN 150000
                                                  WHEN cardinality(asked.parts) = 1 AND products > 100000 THEN 5000
                                                  ELSE 0 END, true) THEN
        SELECT * INTO got
          FROM look_for(asked.parts, lowest, edge, p_limit + 1 - cardinality(ids), bound,
                        p_currency, p_least, p_most, p_available);
        is_all := got.seen <= bound;
    END IF;
    IF is_all THEN
        edge := NULL;
    ELSE
        SELECT f.ids, f.keys, f.edge INTO got
          FROM look_up_by_spans(asked.parts, coalesce(candidates, 0), coalesce(likely, 0), edge,
                                p_limit + 1 - cardinality(ids), p_currency, p_least, p_most, p_available, p_budget) f;
        edge := got.edge;
    END IF;
    -- The newest of what was looked up, which may be more than was wanted.
    ids := ids || got.ids[:p_limit + 1];
    keys := keys || got.keys[:p_limit + 1];
    following := edge;
    IF cardinality(ids) > p_limit THEN
        ids := ids[:p_limit];
        following := keys[p_limit];
    END IF;
END $$;
"""
DROP_OLD = f"""
DROP FUNCTION look_up_by_spans(tsquery[], double precision, uuid, integer, {TYPES}, interval);
DROP FUNCTION look_up(tsquery, tsquery, uuid, uuid, integer, {TYPES});
DROP FUNCTION look_up_newest(tsquery, tsquery, uuid, uuid, bigint, {TYPES});
"""
UNDO = f"""
DROP FUNCTION look_up_by_spans(tsquery[], double precision, double precision, uuid, integer, {TYPES}, interval);
DROP FUNCTION walk_seller(uuid, tsquery, uuid, integer, integer, {TYPES});
DROP FUNCTION seller_asked(tsquery);
"""
FORMER_LOOK = BEFORE.LOOK.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


class Migration(migrations.Migration):
    dependencies = [("search", "0010_documents_by_keys")]

    operations = [
        migrations.RunSQL(
            [LOOK, SELLER, SPANS, FIND, DROP_OLD],
            [TWO_KEYS.NEWEST, TWO_KEYS.LOOK_UP, FORMER_LOOK, BEFORE.SPANS, BEFORE.FIND, UNDO],
        )
    ]
