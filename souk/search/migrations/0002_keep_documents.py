"""The documents and the triggers that keep them. Old code can run beside it: it writes the tables they hear."""

from django.db import migrations

LEXEMES = """
-- The moment of a UUIDv7, in milliseconds.
CREATE FUNCTION uuid_milliseconds(id uuid) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint
$$;

-- The span of time of one level (0: 4 s, each further one 16 times longer, 6: two years) that holds the moment.
CREATE FUNCTION span_lexeme(level integer, milliseconds bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT '#' || level || ':' || to_hex(milliseconds >> (12 + 4 * level))
$$;

-- Steps of price: eight to an octave. An octave has its own lexeme (#P:), so that wide ranges stay short.
CREATE FUNCTION price_step(amount bigint) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT floor(8 * ln(amount::float8 + 1) / ln(2::float8) + 1e-9)::integer
$$;
"""

DOCUMENTS = """
-- What search_product must hold of these products: a row for each that everybody can see.
CREATE FUNCTION product_documents(p_ids uuid[]) RETURNS SETOF search_product LANGUAGE sql STABLE AS $$
    SELECT p.id, p.published_id, p.seller_id, p.price_amount, p.price_currency, worn.ids, worn.names,
           setweight(to_tsvector('souk_text', p.title), 'A')
           -- a word between the parts: no phrase reaches from one into the next
           || '''#.'':1'::tsvector
           || setweight(to_tsvector('souk_text', array_to_string(worn.names, ' , ')), 'B')
           || '''#.'':1'::tsvector
           || setweight(to_tsvector('souk_text', p.description), 'D')
           || array_to_tsvector(
                  worn.lexemes
                  || ('#s:' || p.seller_id)
                  || ('#p:' || p.price_currency || price_step(p.price_amount))
                  || ('#P:' || p.price_currency || price_step(p.price_amount) / 8)
                  || (SELECT array_agg(span_lexeme(level, uuid_milliseconds(p.published_id)))
                        FROM generate_series(0, 6) AS level)
              )
      FROM catalog_product p,
           LATERAL (
               SELECT coalesce(array_agg(t.id ORDER BY t.name), '{}') AS ids,
                      coalesce(array_agg(t.name ORDER BY t.name), '{}') AS names,
                      coalesce(array_agg('#t:' || t.id), '{}') AS lexemes
                 FROM catalog_producttag w JOIN catalog_tag t ON t.id = w.tag_id
                WHERE w.product_id = p.id AND w.deleted IS NULL AND t.deleted IS NULL
           ) worn
     WHERE p.id = ANY (p_ids) AND p.state = 'ACTIVE' AND p.deleted IS NULL
$$;

-- The words of titles and tags as they are spelled.
CREATE FUNCTION spelled_words(p_ids uuid[]) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT DISTINCT word
      FROM catalog_product p,
           LATERAL (
               SELECT coalesce(string_agg(t.name, ' '), '') AS names
                 FROM catalog_producttag w JOIN catalog_tag t ON t.id = w.tag_id
                WHERE w.product_id = p.id AND w.deleted IS NULL AND t.deleted IS NULL
           ) worn,
           unnest(tsvector_to_array(to_tsvector('souk_spelling', p.title || ' ' || worn.names))) AS word
     WHERE p.id = ANY (p_ids) AND p.state = 'ACTIVE' AND p.deleted IS NULL
       AND length(word) BETWEEN 3 AND 40 AND word ~ '^[[:alpha:]]+$'
$$
"""

INDEX = """
-- Bring search_product up to date with these products, which the caller's transaction has locked or made.
CREATE FUNCTION index_products(p_ids uuid[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    -- Who renames or deletes a tag holds the other side: its name is not read while it changes. What follows is a
    -- statement of its own, because only a new one sees what the holder of an awaited lock has committed.
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('souk.tags', 0));
    DELETE FROM search_product s USING catalog_product p
     WHERE s.product_id = ANY (p_ids) AND p.id = s.product_id AND (p.state <> 'ACTIVE' OR p.deleted IS NOT NULL);
    INSERT INTO search_product AS s SELECT * FROM product_documents(p_ids)
        ON CONFLICT (product_id) DO UPDATE
       SET published_id = excluded.published_id, seller_id = excluded.seller_id, price_amount = excluded.price_amount,
           price_currency = excluded.price_currency, tag_ids = excluded.tag_ids,
           tag_names = excluded.tag_names, document = excluded.document
     WHERE (s.published_id, s.seller_id, s.price_amount, s.price_currency, s.tag_ids, s.tag_names, s.document)
           IS DISTINCT FROM
           (excluded.published_id, excluded.seller_id, excluded.price_amount, excluded.price_currency,
            excluded.tag_ids, excluded.tag_names, excluded.document);
    INSERT INTO search_word
    SELECT found.word FROM spelled_words(p_ids) AS found (word)
     WHERE NOT EXISTS (SELECT 1 FROM search_word known WHERE known.word = found.word) ORDER BY found.word
        ON CONFLICT DO NOTHING;
END $$;

-- An import says SET LOCAL souk.index_later = 'on' and calls index_products itself, once its tags are there too.
CREATE FUNCTION index_later() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(current_setting('souk.index_later', true), '') = 'on'
$$;

CREATE FUNCTION index_new_products() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT index_later() AND EXISTS (SELECT 1 FROM new_rows WHERE state = 'ACTIVE') THEN
        PERFORM index_products(ARRAY(SELECT id FROM new_rows WHERE state = 'ACTIVE'));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION index_changed_products() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[];
BEGIN
    ids := ARRAY(
        SELECT n.id FROM new_rows n JOIN old_rows o USING (id)
         WHERE (n.state, n.deleted, n.seller_id, n.published_id, n.title, n.description, n.price_amount,
                n.price_currency)
               IS DISTINCT FROM
               (o.state, o.deleted, o.seller_id, o.published_id, o.title, o.description, o.price_amount,
                o.price_currency)
           AND 'ACTIVE' IN (n.state, o.state));
    IF cardinality(ids) > 0 AND NOT index_later() THEN
        PERFORM index_products(ids);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION index_tagged_products() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids uuid[] := ARRAY(SELECT DISTINCT product_id FROM new_rows ORDER BY product_id);
BEGIN
    IF cardinality(ids) > 0 AND NOT index_later() THEN
        -- Two that tag one product at once wait for each other; doors have locked it already.
        PERFORM 1 FROM catalog_product WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
        PERFORM index_products(ids);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION index_renamed_tag() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('souk.tags', 0));
    PERFORM index_products(ARRAY(
        SELECT product_id FROM catalog_producttag WHERE tag_id = NEW.id AND deleted IS NULL ORDER BY product_id));
    RETURN NULL;
END $$;

CREATE FUNCTION note_tag_uses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO catalog_tag_use SELECT tag_id, count(*) FROM new_rows, unnest(tag_ids) AS tag_id GROUP BY tag_id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO catalog_tag_use SELECT tag_id, -count(*) FROM old_rows, unnest(tag_ids) AS tag_id GROUP BY tag_id;
    ELSE
        INSERT INTO catalog_tag_use
        SELECT tag_id, sum(change)
          FROM (SELECT unnest(tag_ids) AS tag_id, 1 AS change FROM new_rows
                 UNION ALL
                SELECT unnest(tag_ids), -1 FROM old_rows) changes
         GROUP BY tag_id HAVING sum(change) <> 0;
    END IF;
    RETURN NULL;
END $$
"""

TRIGGERS = """
CREATE TRIGGER index_created AFTER INSERT ON catalog_product
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION index_new_products();
CREATE TRIGGER index_changed AFTER UPDATE ON catalog_product
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION index_changed_products();
CREATE TRIGGER index_tagged AFTER INSERT ON catalog_producttag
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION index_tagged_products();
CREATE TRIGGER index_untagged AFTER UPDATE ON catalog_producttag
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION index_tagged_products();
CREATE TRIGGER index_renamed AFTER UPDATE OF name, deleted ON catalog_tag FOR EACH ROW
    WHEN ((OLD.name, OLD.deleted) IS DISTINCT FROM (NEW.name, NEW.deleted)) EXECUTE FUNCTION index_renamed_tag();
CREATE TRIGGER note_new AFTER INSERT ON search_product
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_tag_uses();
CREATE TRIGGER note_changed AFTER UPDATE ON search_product
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION note_tag_uses();
CREATE TRIGGER note_gone AFTER DELETE ON search_product
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION note_tag_uses();
"""

FILL = """
SELECT index_products(ARRAY(SELECT id FROM catalog_product WHERE state = 'ACTIVE' AND deleted IS NULL))
"""

UNDO = """
DROP TRIGGER index_created ON catalog_product;
DROP TRIGGER index_changed ON catalog_product;
DROP TRIGGER index_tagged ON catalog_producttag;
DROP TRIGGER index_untagged ON catalog_producttag;
DROP TRIGGER index_renamed ON catalog_tag;
DROP TRIGGER note_new ON search_product;
DROP TRIGGER note_changed ON search_product;
DROP TRIGGER note_gone ON search_product;
DROP FUNCTION
    note_tag_uses, index_renamed_tag, index_tagged_products, index_changed_products, index_new_products, index_later,
    index_products, spelled_words, product_documents, price_step, span_lexeme, uuid_milliseconds;
"""


class Migration(migrations.Migration):
    dependencies = [("search", "0001_initial")]

    operations = [
        migrations.RunSQL([LEXEMES, DOCUMENTS, INDEX, TRIGGERS], UNDO),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
