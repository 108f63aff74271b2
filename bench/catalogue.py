"""A catalogue of any size, made inside PostgreSQL: skewed words, tags and sellers, one product in ten seconds."""

from __future__ import annotations

import psycopg

SELLERS, TAGS, VOCABULARY = 1000, 200, 20_000
OLDEST = 2000
# Rank r of a vocabulary is drawn about as often as 1/r. A word of rank r is its number in letters.
WORD = "translate(to_hex(1048576 + floor(%s ^ random())::integer), '0123456789', 'ghijklmnop')"
MADE = f"""
    SELECT n, overlay(first_uuid(1500000000000 + n * 10000::bigint)::text placing lpad(to_hex(n), 12, '0')
                      from 25 for 12)::uuid AS id,
           floor({SELLERS} ^ random())::integer AS seller,
           initcap((SELECT string_agg({WORD % VOCABULARY}, ' ') FROM generate_series(1, 6) WHERE n > 0)) AS title,
           (SELECT string_agg({WORD % VOCABULARY}, ' ') FROM generate_series(1, 42) WHERE n > 0)
           || CASE WHEN random() < 0.27 THEN ' ordinary' ELSE '' END
           || CASE WHEN random() < 0.01 THEN ' curious' ELSE '' END
           || CASE WHEN n <= {OLDEST} THEN ' primeval' ELSE '' END
           || CASE WHEN n <= %(products)s / 2 AND random() < 0.5 THEN ' former' ELSE '' END AS description,
           CASE WHEN n %% (%(products)s / 20) = 7 THEN 999999999 ELSE 100 + floor(50000 * random() ^ 2)::integer END
               AS price
      FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
"""  # noqa: S608  # it is made of constants
PEOPLE = f"""
    INSERT INTO accounts_user (id, created, updated, last_sequence, username, display_name, bio, email, email_verified,
                               is_staff, is_active, password)
    SELECT md5('seller' || n)::uuid, now(), now(), 1, 'seller-' || n, 'Seller ' || n, '', '', false, false, true, '!'
      FROM generate_series(1, {SELLERS}) AS n
"""  # noqa: S608  # it is made of constants
WORDS_OF_STAFF = f"""
    INSERT INTO catalog_tag (id, created, updated, name, description)
    SELECT md5('tag' || n)::uuid, now(), now(), 'tag-' || n, '' FROM generate_series(1, {TAGS}) AS n
"""  # noqa: S608  # it is made of constants
PRODUCTS = f"""
    INSERT INTO catalog_product (id, created, updated, last_sequence, state, title, description, price_amount,
                                 price_currency, images, published_id, version, seller_id)
    SELECT id, now(), now(), 0, 'ACTIVE', title, description, price, 'EUR', '[]', id, 1, md5('seller' || seller)::uuid
      FROM ({MADE}) made
"""  # noqa: S608  # it is made of constants
SPAN = f"WITH made AS ({PRODUCTS} RETURNING id) SELECT min(id::text), max(id::text) FROM made"  # noqa: S608  # made of constants
# The first tag is on half of all products, the others are skewed; three to a product.
WORN = f"""
    INSERT INTO catalog_producttag (id, created, updated, product_id, tag_id)
    SELECT gen_random_uuid(), now(), now(), id, md5('tag' || tag)::uuid
      FROM catalog_product p, LATERAL (
               SELECT DISTINCT CASE WHEN k = 1 AND random() < 0.5 THEN 1
                                    ELSE 1 + floor({TAGS - 1} ^ random())::integer END AS tag
                 FROM generate_series(1, 3) AS k WHERE p.id IS NOT NULL) drawn
     WHERE p.id BETWEEN %(from)s AND %(to)s
"""  # noqa: S608  # it is made of constants
STOCK = """
    INSERT INTO stock_stock (product_id, owner_id, on_hand, for_sale)
    SELECT id, seller_id, CASE WHEN random() < 0.95 THEN 5 ELSE 0 END, true FROM catalog_product
     WHERE id BETWEEN %(from)s AND %(to)s
"""
DOCUMENTS = """
    INSERT INTO search_product SELECT * FROM product_documents(
        ARRAY(SELECT id FROM catalog_product WHERE id BETWEEN %(from)s AND %(to)s ORDER BY id))
"""
HEARING = ("catalog_product", "catalog_producttag", "search_product")
AT_ONCE = 10_000


def fill(url: str, products: int) -> None:
    """Fill an empty, migrated database. Triggers rest and the big index is made last: it is the state that counts."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in HEARING:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
        connection.execute("DROP INDEX search_document")
        connection.execute(PEOPLE.encode())
        connection.execute(WORDS_OF_STAFF.encode())
        for first in range(1, products + 1, AT_ONCE):
            fill_some(connection, products, first, min(first + AT_ONCE - 1, products))
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(
            "CREATE INDEX search_document ON search_product USING gin (document) WITH (fastupdate = off)"
        )
        connection.execute(
            "UPDATE catalog_tag t SET products_count = c.n FROM (SELECT tag_id, count(*) AS n FROM search_product,"
            " unnest(tag_ids) AS tag_id GROUP BY tag_id) c WHERE c.tag_id = t.id"
        )
        for table in HEARING:
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())
        connection.execute("VACUUM (ANALYZE)")


def fill_some(connection: psycopg.Connection, products: int, first: int, last: int) -> None:
    """One transaction's worth."""
    made = connection.execute(
        SPAN.encode(),
        {"products": products, "first": first, "last": last},
    ).fetchone()
    span = dict(zip(("from", "to"), made or (), strict=True))
    for statement in (WORN, STOCK, DOCUMENTS):
        connection.execute(statement.encode(), span)
