"""A catalogue of any size, made inside PostgreSQL: skewed words, tags and sellers, one product in ten seconds.

Everything is drawn from hashes of the product's number, so that the same size gives the same catalogue. Up to 50,000
products each have a text of their own; of more, several share one, with other tags, sellers, prices and rare words.
Documents are put together from parts that `to_tsvector` made, as `product_documents` would have made them.
"""

from __future__ import annotations

# ruff: noqa: S608  # statements here are made of constants
import psycopg

SELLERS, TAGS, VOCABULARY, TEXTS, TAGGINGS = 1000, 200, 20_000, 50_000, 5000
OLDEST = 2000
AT_ONCE = 500_000
TABLES = ("catalog_product", "catalog_producttag", "stock_stock", "search_product")
# Words beside the drawn ones, by a bit each.
MARKS = ("ordinary", "curious", "primeval", "former")


def drawn(of: str, draw: int) -> str:
    """A number from 0 to 1, the same for the same thing."""
    return f"((hashint8extended({of}, {draw}) & 9007199254740991) / 9007199254740992::float8)"


def word_of(rank: int) -> str:
    """The word of a rank, from 1: some 460 / rank % of the products have it."""
    return f"{1_048_576 + rank:x}".translate(str.maketrans("0123456789", "ghijklmnop"))


def words(count: int, draw: int) -> str:
    """So many words of the text k. Rank r of the vocabulary is drawn about as often as 1/r; a word is its number."""
    rank = f"floor({VOCABULARY} ^ {drawn('k * 100 + w', draw)})::integer"
    word = f"translate(to_hex(1048576 + {rank}), '0123456789', 'ghijklmnop')"
    return f"(SELECT string_agg({word}, ' ') FROM generate_series(1, {count}) AS w WHERE k > 0)"


PARTS = f"""
    CREATE TEMP TABLE bench_text AS
    SELECT k, title, description, setweight(to_tsvector('souk_text', title), 'A') || '''#.'':1'::tsvector AS head,
           '''#.'':1'::tsvector || setweight(to_tsvector('souk_text', description), 'D') AS tail
      FROM (SELECT k, initcap({words(6, 1)}) AS title, {words(42, 2)} AS description
              FROM generate_series(1, %(texts)s::integer) AS k) made;
    CREATE TEMP TABLE bench_mark AS
    SELECT mask, coalesce(string_agg(' ' || word, '' ORDER BY place), '') AS words,
           setweight(to_tsvector('souk_text', coalesce(string_agg(word, ' ' ORDER BY place), '')), 'D') AS document
      FROM generate_series(0, 15) AS mask
      LEFT JOIN unnest('{{{",".join(MARKS)}}}'::text[]) WITH ORDINALITY AS m (word, place)
             ON mask & (1 << (place - 1)::integer) <> 0
     GROUP BY mask;
    -- The first tag is on half of all products, the others are skewed; three are drawn for each product.
    CREATE TEMP TABLE bench_tagging AS
    SELECT k, array_agg(id ORDER BY name) AS ids, array_agg(name ORDER BY name) AS names,
           setweight(to_tsvector('souk_text', string_agg(name, ' , ' ORDER BY name)), 'B') AS document,
           array_agg('#t:' || id) AS lexemes
      FROM (SELECT DISTINCT k, CASE WHEN w = 1 AND {drawn("k", 3)} < 0.5 THEN 1
                                    ELSE 1 + floor({TAGS - 1} ^ {drawn("k * 10 + w", 4)})::integer END AS n
              FROM generate_series(1, {TAGGINGS}) AS k, generate_series(1, 3) AS w) drawn
      CROSS JOIN LATERAL (SELECT md5('tag' || n)::uuid AS id, 'tag-' || n AS name) tag
     GROUP BY k
"""
PEOPLE = """
    INSERT INTO accounts_user (id, created, updated, last_sequence, username, display_name, bio, email, email_verified,
                               is_staff, is_active, password)
    SELECT md5(replace(name, '-', ''))::uuid, now(), now(), 1, name, name, '', '', false, false, true, '!'
      FROM unnest(%s::text[]) AS name
    ON CONFLICT DO NOTHING
"""
WORDS_OF_STAFF = f"""
    INSERT INTO catalog_tag (id, created, updated, name, description)
    SELECT md5('tag' || n)::uuid, now(), now(), 'tag-' || n, '' FROM generate_series(1, {TAGS}) AS n
"""
MADE = f"""
    (SELECT n, moment, (lpad(to_hex(moment), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS id,
            md5('seller' || floor({SELLERS} ^ {drawn("n", 5)})::integer)::uuid AS seller_id,
            CASE WHEN %(products)s <= {TEXTS} THEN n ELSE 1 + floor({TEXTS} * {drawn("n", 6)})::integer END AS text,
            1 + floor({TAGGINGS} * {drawn("n", 7)})::integer AS tagging,
            CASE WHEN n %% (%(products)s / 20) = 7 THEN 999999999
                 ELSE 100 + floor(50000 * {drawn("n", 8)} ^ 2)::integer END AS price,
            ({drawn("n", 9)} < 0.27)::integer + 2 * ({drawn("n", 10)} < 0.01)::integer
            + 4 * (n <= {OLDEST})::integer + 8 * (n <= %(products)s / 2 AND {drawn("n", 11)} < 0.5)::integer AS mark
       FROM (SELECT n, 1500000000000 + n * 10000::bigint AS moment
               FROM generate_series(%(first)s::integer, %(last)s::integer) AS n) numbers
     OFFSET 0) made
"""
SPANS = ", ".join(f"'#{level}:' || to_hex(moment >> {12 + 4 * level})" for level in range(7))
FILLING = {
    "catalog_product": f"""
        INSERT INTO catalog_product (id, created, updated, last_sequence, state, title, description, price_amount,
                                     price_currency, images, published_id, version, seller_id)
        SELECT id, now(), now(), 0, 'ACTIVE', t.title, t.description || m.words, price, 'EUR', '[]', id, 1, seller_id
          FROM {MADE} JOIN bench_text t ON t.k = text JOIN bench_mark m ON m.mask = mark
    """,
    "search_product": f"""
        INSERT INTO search_product (product_id, published_id, seller_id, price_amount, price_currency, tag_ids,
                                    tag_names, document)
        SELECT id, id, seller_id, price, 'EUR', g.ids, g.names,
               t.head || g.document || t.tail || m.document
               || array_to_tsvector(g.lexemes || ARRAY['#s:' || seller_id, '#p:EUR' || price_step(price),
                                                       '#P:EUR' || price_step(price) / 8, {SPANS}])
          FROM {MADE} JOIN bench_text t ON t.k = text JOIN bench_mark m ON m.mask = mark
          JOIN bench_tagging g ON g.k = tagging
    """,
    "catalog_producttag": f"""
        INSERT INTO catalog_producttag (id, created, updated, product_id, tag_id)
        SELECT (lpad(to_hex(moment), 12, '0') || '7000800' || place || lpad(to_hex(n), 12, '0'))::uuid, now(), now(),
               made.id, tag.id
          FROM {MADE} JOIN bench_tagging g ON g.k = tagging, unnest(g.ids) WITH ORDINALITY AS tag (id, place)
    """,
    "stock_stock": f"""
        INSERT INTO stock_stock (product_id, owner_id, on_hand, for_sale)
        SELECT id, seller_id, CASE WHEN {drawn("n", 12)} < 0.95 THEN 5 ELSE 0 END, true FROM {MADE}
    """,
}
# Foreign keys first when they are taken away, last when they come back.
CONSTRAINTS = """
    SELECT format('ALTER TABLE %%I DROP CONSTRAINT %%I', r.relname, c.conname),
           format('ALTER TABLE %%I ADD CONSTRAINT %%I %%s', r.relname, c.conname, pg_get_constraintdef(c.oid))
      FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
     WHERE c.contype = ANY (%(kinds)s)
       AND (r.relname = ANY (%(tables)s) OR c.confrelid = ANY (%(tables)s::text[]::regclass[]))
     ORDER BY c.contype <> 'f'
"""
INDEXES = """
    SELECT format('DROP INDEX %%I', i.indexrelid::regclass::text), pg_get_indexdef(i.indexrelid)
      FROM pg_index i WHERE i.indrelid = ANY (%(tables)s::text[]::regclass[])
       AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid)
"""


def fill(url: str, products: int) -> None:
    """Fill an empty, migrated database. Triggers rest, and indexes are made at the end: it is the state that counts."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '1GB'; SET work_mem = '512MB'; SET synchronous_commit = off")
        connection.execute("SET max_parallel_maintenance_workers = 0")
        connection.execute(PEOPLE, [[f"seller-{number}" for number in range(1, SELLERS + 1)]])
        connection.execute(WORDS_OF_STAFF.encode())
        client = psycopg.ClientCursor(connection)
        client.execute(PARTS.encode(), {"texts": min(products, TEXTS)})
        client.execute("ANALYZE bench_text, bench_tagging, bench_mark")
        asked = {"tables": list(TABLES), "kinds": ["p", "u", "f"]}
        constraints = connection.execute(CONSTRAINTS, asked).fetchall()
        indexes = connection.execute(INDEXES, asked).fetchall()
        for take, _ in constraints + indexes:
            connection.execute(take.encode())
        for table, statement in FILLING.items():
            fill_table(connection, table, statement, products)
        for _, give in [*indexes, *reversed(constraints)]:
            connection.execute(give.encode())
        connection.execute(
            "UPDATE catalog_tag t SET products_count = c.n FROM (SELECT tag_id, count(*) AS n FROM catalog_producttag"
            " GROUP BY tag_id) c WHERE c.tag_id = t.id"
        )
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("SELECT copy_search_statistics()")


def fill_table(connection: psycopg.Connection, table: str, statement: str, products: int) -> None:
    """All rows of a table in one transaction that begins by emptying it: a server of wal_level minimal logs none."""
    client = psycopg.ClientCursor(connection)
    connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
    with connection.transaction():
        connection.execute(f"TRUNCATE {table}".encode())
        for first in range(1, products + 1, AT_ONCE):
            last = min(first + AT_ONCE - 1, products)
            client.execute(statement.encode(), {"products": products, "first": first, "last": last})
            print(table, last, flush=True)  # noqa: T201  # a measurement talks to a terminal
    connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())
