"""A shop with many orders, written straight into an empty, migrated database: for the pages for staff."""

from __future__ import annotations

import psycopg
from psycopg import sql

from bench.serving import make_callers, make_products
from souk.orders.models import Order

BUYERS, PRODUCTS, CHUNK = 2000, 1000, 20_000
# Nine in ten accepted, the others spread over what else may become of an order; a payment for each that had one.
ORDERS = """
WITH buyers AS (
    SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS number
      FROM accounts_user WHERE username LIKE 'buyer-%%'
),
made AS (
    INSERT INTO orders_order (id, created, updated, last_sequence, state, currency, total, expires_at, buyer_id,
                              closed_at, confirmed_at, accepted_at, reason)
    SELECT uuidv7(), now(), now(), 1, state, 'EUR', 1999, now() + interval '1 day',
           buyers.id,
           CASE WHEN state IN ('CANCELLED', 'NOT_CONFIRMED') THEN now() END,
           CASE WHEN state IN ('CONFIRMED', 'ACCEPTED') THEN now() END, CASE WHEN state = 'ACCEPTED' THEN now() END,
           CASE WHEN state = 'NOT_CONFIRMED' THEN 'expired' END
      FROM (SELECT n, CASE WHEN n %% 100 < 90 THEN 'ACCEPTED' WHEN n %% 100 < 95 THEN 'NOT_CONFIRMED'
                           WHEN n %% 100 < 98 THEN 'CANCELLED' WHEN n %% 100 < 99 THEN 'CONFIRMED'
                           ELSE 'PENDING_CONFIRMATION' END AS state
              FROM generate_series(%(first)s::int, %(last)s::int) AS n) AS drawn
      JOIN buyers ON place = n %% number
    RETURNING id, buyer_id, state
), line AS (
    INSERT INTO orders_orderline (id, created, updated, order_id, number, product_id, seller_id, seller_username,
                                  seller_display_name, title, unit_price, quantity)
    SELECT uuidv7(), now(), now(), made.id, 0, p.id, p.seller_id, 'seller-0000', '', p.title, 1999, 1
      FROM made CROSS JOIN (SELECT id, seller_id, title FROM catalog_product ORDER BY id LIMIT 1) AS p
), paid AS (
    INSERT INTO payments_payment (id, created, updated, last_sequence, reference, attempt, payer_id, amount, currency,
                                  token, charge_id, tries, state)
    SELECT uuidv7(), now(), now(), 1, id, 1, buyer_id, 1999, 'EUR', 'tok_ok', 'ch_' || id, 1, 'CAPTURED'
      FROM made WHERE state = 'ACCEPTED'
), history AS (
    INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor)
    SELECT 'order', id, 1, NULL, 'PENDING_CONFIRMATION', 'place', 'user:' || buyer_id FROM made
), later AS (
    INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor)
    SELECT 'order', id, 2, 'PENDING_CONFIRMATION', state, 'accept', 'system' FROM made
     WHERE state <> 'PENDING_CONFIRMATION'
)
INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)
SELECT 'order.placed', 'order', id, 1, '{"state": "PENDING_CONFIRMATION"}', 'user:' || buyer_id, ARRAY[buyer_id]
  FROM made
"""


SEEDED = (
    "accounts_user",
    "django_session",
    "catalog_product",
    "orders_order",
    "orders_orderline",
    "payments_payment",
    "eventlog_transition",
    "eventlog_event",
)


def seed(url: str, *, orders: int) -> None:
    """Make buyers, products and orders with lines, payments, history and events; goes on where it was broken off."""
    made = Order.all_objects.count()
    if not made:
        (seller,) = make_callers(1, "seller")
        make_callers(BUYERS, "buyer")
        make_products(PRODUCTS, seller, stock=1_000_000)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for first in range(made + 1, orders + 1, CHUNK):
            connection.execute(ORDERS, {"first": first, "last": min(first + CHUNK - 1, orders)})
        for table in SEEDED:
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
