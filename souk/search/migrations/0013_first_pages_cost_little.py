"""A first page costs little whatever is asked, and a word that was common once is leapt to. Old code can go on.

Several words that are common each and rare together took the whole budget of 25 ms at ten million products, and so did
a common word that the newer half has nowhere.
"""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("souk.search.migrations.0011_walk_over_a_seller")
FILTERS, TYPES, WALK = BEFORE.FILTERS, BEFORE.TYPES, BEFORE.WALK

LEAP = """
-- How far back a part of the question is likely to be missing, in milliseconds, that is missing in a look from p_start
-- to p_moment; NULL when none is. Only a word (a tag, a seller) can be: of a phrase the index has to go through the
-- words. Asked is whether the word is in a thin span that should have it eight times: four times further each time
-- until it is, and then halfway between.
CREATE FUNCTION leap_to(p_parts tsquery[], p_moment bigint, p_start bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    products CONSTANT double precision := greatest(
        (SELECT reltuples FROM pg_class WHERE oid = 'search_product'::regclass), 1);
    steps CONSTANT double precision := (SELECT place FROM search_step ORDER BY milliseconds DESC LIMIT 1);
    oldest CONSTANT bigint := uuid_milliseconds(
        (SELECT s.published_id FROM search_product s ORDER BY s.published_id LIMIT 1));
    most CONSTANT double precision := greatest(30000 / products * steps, 1);
    near bigint := p_start;
    far bigint;
    middle bigint;
    part tsquery;
    share double precision;
    level integer;
BEGIN
    FOREACH part IN ARRAY p_parts LOOP
        share := CASE WHEN numnode(part) = 1
            THEN (SELECT s.share FROM search_share s WHERE s.lexeme = (tsvector_to_array(part::text::tsvector))[1]) END;
        -- The span of a word that less than one in 2,000 products has would not be thin.
        CONTINUE WHEN share IS NULL OR share < 0.0005;
        level := 0;
        WHILE level < 6 AND coalesce(steps_before(p_start + (1::bigint << (12 + 4 * level))), 0)
                            - coalesce(steps_before(p_start), 0) < 8 / share / products * steps LOOP
            level := level + 1;
        END LOOP;
        EXIT WHEN NOT has_at(part, p_start, level, most);
        level := NULL;
    END LOOP;
    IF level IS NULL THEN
        RETURN NULL;
    END IF;
    LOOP
        far := near - 3 * (p_moment + 1 - near);
        EXIT WHEN far <= oldest OR has_at(part, far, level, most);
        near := far;
    END LOOP;
    far := greatest(far, oldest);
    WHILE near - far > 2::bigint << (12 + 4 * greatest(level, 3)) LOOP
        middle := (near + far) / 2;
        IF has_at(part, middle, level, most) THEN
            far := middle;
        ELSE
            near := middle;
        END IF;
    END LOOP;
    RETURN near;
END $$;

-- Whether a product of the span of this level that a moment is in has the word. Of a span of more than so many steps of
-- products, in which to look would take long, nobody asks: it may have it.
CREATE FUNCTION has_at(p_word tsquery, p_moment bigint, p_level integer, p_most double precision) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    width CONSTANT bigint := 1::bigint << (12 + 4 * p_level);
    start CONSTANT bigint := p_moment / width * width;
    span CONSTANT tsquery := quote_literal(span_lexeme(p_level, p_moment))::tsquery;
BEGIN
    RETURN (SELECT count(*) FROM search_step WHERE milliseconds >= start AND milliseconds < start + width) > p_most
        OR EXISTS (SELECT 1 FROM search_product s WHERE s.document @@ span AND s.document @@ p_word);
END $$;
"""

SPANS = f"""
-- Look up what matches before the edge, span by span of time, backwards, within the budget of time and, where it is
-- given, the effort: so many candidates, 0.1 us each. How far a look goes follows from what it has to go through
-- (`allowed`), and from what was seen: further where there is little, less far where there is too much. `edge` is how
-- far down was looked, NULL when nothing is left.
CREATE FUNCTION look_up_by_spans(
    p_parts tsquery[], p_candidates double precision, p_matches double precision, p_edge uuid, p_wanted integer,
    {FILTERS}, p_budget interval, p_effort double precision,
    OUT ids uuid[], OUT keys uuid[], OUT edge uuid
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    began CONSTANT timestamptz := clock_timestamp();
    few CONSTANT boolean := p_candidates < 30000;
    -- Matches that are fetched and sorted. There are hardly more of what is rare.
    most CONSTANT bigint := greatest(CASE WHEN p_candidates <= 5000 THEN 5000 ELSE 500 END, 3 * p_wanted);
    -- Candidates to go through, some 0.1 us each. Where one key does not tell whether a candidate matches, sixteen
    -- entries of the span, which are skipped from one candidate to the next, cost as much as one.
    expected CONSTANT double precision := p_candidates + CASE
        WHEN cardinality(p_parts) = 1 AND p_parts[1]::text NOT LIKE '%<%' THEN 0
        ELSE (SELECT 0.06 * reltuples FROM pg_class WHERE oid = 'search_product'::regclass) END;
    -- The longest look: where nothing is there are as many fewer looks as they are longer, and where something begins
    -- the one that meets it goes through half of it in vain.
    furthest CONSTANT double precision := CASE
        WHEN p_matches < 5000 THEN 40000
        WHEN few THEN 24000
        ELSE least(18 * sqrt(expected), 20000) END;
    steps CONSTANT double precision := (SELECT place FROM search_step ORDER BY milliseconds DESC LIMIT 1);
    -- As far as twice what is wanted should be, where that is not too far for a first look.
    first CONSTANT double precision := greatest(
        200, 2 * p_wanted, least(CASE WHEN p_matches < 5000 THEN furthest ELSE furthest / 4 END,
                                 expected * 2 * p_wanted / greatest(p_matches, 1)));
    -- What a look costs whatever it finds, in candidates.
    fixed CONSTANT double precision := 2500;
    spent double precision := 0;
    missing double precision := 0;  -- what should have been in the looks since the last that saw anything
    target bigint;                  -- how far down they may be missing
    reach double precision := 8 * furthest;  -- of a look on the way there, until it proves right
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
    ahead double precision;  -- to the target
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
        allowed := least(allowed, CASE WHEN p_effort IS NOT NULL THEN greatest(p_effort - spent - fixed, 200) END);
        ahead := CASE WHEN target < moment
            THEN expected * (before - coalesce(steps_before(target), 0)) / steps END;
        level := least(level + 1, 6);
        IF ahead > first THEN
            allowed := least(ahead, reach);
            level := 6;
        END IF;
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
        number := least(number, greatest(coalesce(narrow / width, number), 1), start / width + 1,
                        CASE WHEN ahead > first THEN greatest((start - target) / width, 0) + 1 END);
        start := start - (number - 1) * width;
        SELECT string_agg(quote_literal(span_lexeme(level, moment - place * width)), ' | ')::tsquery INTO span
          FROM generate_series(0, number - 1) AS place;
        -- The span goes first, so that PostgreSQL begins and ends with it; second where the rarest part is one word,
        -- from candidate to candidate of which it goes then. Any other part would first be looked for through all
        -- products. Of few candidates it begins with the first that all parts match: a span of millions, of which each
        -- has it read another page, would cost more than they.
        -- What was published in the same four seconds cannot be parted: an import, say.
        SELECT * INTO got
          FROM look_for(CASE WHEN few THEN p_parts || span
                             WHEN numnode(p_parts[1]) = 1 THEN p_parts[:1] || span || p_parts[2:]
                             ELSE span || p_parts END,
                        first_uuid(start), edge, p_wanted - cardinality(ids),
                        CASE WHEN level + number > 1 THEN most END, p_currency, p_least, p_most, p_available);
        looked := expected * (before - coalesce(steps_before(start), 0)) / steps;
        missing := CASE WHEN got.seen > 0 THEN 0 ELSE missing + p_matches * looked / greatest(expected, 1) END;
        IF got.seen = 0 AND ahead > first THEN
            -- There was nothing to go through on the way, as was thought: one of the parts is nowhere near.
            reach := 4 * reach;
        ELSE
            spent := spent + fixed + looked;
        END IF;
        IF missing >= 16 AND target IS NULL AND expected > 8 * furthest THEN
            target := coalesce(leap_to(p_parts, moment, start), start);
        ELSIF got.seen > 0 THEN
            target := NULL;
        END IF;
        IF got.seen > most AND level + number > 1 THEN
            full_from := start;
            narrow := (moment + 1 - start) / 4;
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
            IF ahead > first THEN
                allowed := first;
            ELSIF got.seen < most / 8 THEN
                -- As far as twice the rest should be by what was found here, or four times as far as this time.
                allowed := least(4 * allowed, furthest, CASE WHEN cardinality(got.ids) >= 3 THEN
                    greatest(200, 2 * (p_wanted - cardinality(ids)) * looked / cardinality(got.ids)) END);
            END IF;
        END IF;
        -- Not before the first step down: a page that ends where it began would be asked for again, for ever.
        IF edge < p_edge AND (clock_timestamp() - began > p_budget OR spent + fixed + 200 > p_effort) THEN
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
    -- A first page, for which somebody waits, is short rather than late: a twelfth of the budget, which who goes on has
    -- all of. Counted and not timed, so that a busy machine shows no less: candidates, some 0.1 us each.
    effort CONSTANT double precision := CASE WHEN edge = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
        THEN 800 * 1000 * extract(epoch FROM p_budget) END;
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
                                                  ELSE 0 END, true)
       AND coalesce(candidates <= 1.5 * effort, true) THEN
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
                                p_limit + 1 - cardinality(ids), p_currency, p_least, p_most, p_available, p_budget,
                                effort) f;
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
DROP FUNCTION look_up_by_spans(tsquery[], double precision, double precision, uuid, integer, {TYPES}, interval);
"""
UNDO = f"""
DROP FUNCTION look_up_by_spans(
    tsquery[], double precision, double precision, uuid, integer, {TYPES}, interval, double precision);
DROP FUNCTION leap_to, has_at;
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0012_reckon_what_is_newer")]

    operations = [
        migrations.RunSQL(
            [LEAP, SPANS, FIND, DROP_OLD],
            [BEFORE.SPANS, BEFORE.FIND, UNDO],
        )
    ]
