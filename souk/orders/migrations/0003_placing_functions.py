"""The two SQL functions under placing an order. Old code can run beside it: nothing called them before."""

from django.db import migrations

from souk.catalog.machine import ACTIVE
from souk.orders.machine import PENDING

OFFERS = f"""
-- What a buyer who wants these products must know: how many of their orders wait (the counting ends at p_most), the
-- database's moment, and each product as far as anybody may buy it (its columns are NULL otherwise). One row per
-- product. The buyer's row is locked first, in a statement of its own: two orders at once are counted one after the
-- other, and the second one sees the first.
CREATE FUNCTION offers_to(p_buyer uuid, p_ids uuid[], p_most integer)
RETURNS TABLE (
    waiting integer, moment timestamptz, wanted_id uuid, seller_id uuid, seller_username varchar,
    seller_display_name varchar, title varchar, price_amount bigint, price_currency varchar
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    found integer;
BEGIN
    PERFORM 1 FROM accounts_user WHERE id = p_buyer FOR NO KEY UPDATE;
    SELECT count(*) INTO found
      FROM (SELECT 1 FROM orders_order
              -- One that is due holds nothing any more, whether the clock has closed it yet or not.
             WHERE buyer_id = p_buyer AND state = '{PENDING}' AND expires_at > clock_timestamp()
             LIMIT p_most) AS pending;
    RETURN QUERY
        SELECT found, clock_timestamp(), w.id, p.seller_id, u.username, u.display_name, p.title, p.price_amount,
               p.price_currency
          FROM unnest(p_ids) AS w (id)
          LEFT JOIN (catalog_product p JOIN accounts_user u ON u.id = p.seller_id AND u.is_active AND u.deleted IS NULL)
            ON p.id = w.id AND p.state = '{ACTIVE}' AND p.deleted IS NULL;
END $$
"""

OPEN = """
-- Write a new order: its row, its lines, the first line of its history and its first event. Judges nothing.
CREATE FUNCTION open_order(p_order jsonb, p_lines jsonb, p_event jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    o record;
    e record;
BEGIN
    SELECT * INTO STRICT o FROM jsonb_to_record(p_order) AS r (
        id uuid, buyer_id uuid, state text, currency text, total bigint, created timestamptz, expires_at timestamptz);
    SELECT * INTO STRICT e FROM jsonb_to_record(p_event) AS r (
        actor text, traceparent text, data jsonb, audience uuid[]);
    INSERT INTO orders_order (id, created, updated, last_sequence, state, currency, total, expires_at, buyer_id)
    VALUES (o.id, o.created, o.created, 1, o.state, o.currency, o.total, o.expires_at, o.buyer_id);
    INSERT INTO orders_orderline (id, created, updated, order_id, number, product_id, seller_id, seller_username,
                                  seller_display_name, title, unit_price, quantity)
    SELECT l.id, o.created, o.created, o.id, l.number, l.product_id, l.seller_id, l.seller_username,
           l.seller_display_name, l.title, l.unit_price, l.quantity
      FROM jsonb_to_recordset(p_lines) AS l (
        id uuid, number smallint, product_id uuid, seller_id uuid, seller_username text, seller_display_name text,
        title text, unit_price bigint, quantity integer);
    INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor, at)
    VALUES ('order', o.id, 1, NULL, o.state, 'place', e.actor, o.created);
    INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, traceparent, audience)
    VALUES ('order.placed', 'order', o.id, 1, e.data, e.actor, e.traceparent, e.audience);
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0002_immediate_foreign_keys"),
        ("eventlog", "0001_initial"),
    ]

    operations = [migrations.RunSQL([OFFERS, OPEN], "DROP FUNCTION open_order, offers_to")]
