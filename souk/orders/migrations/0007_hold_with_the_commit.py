"""An order's stock is held in the last round trip of its transaction. Old code can go on: what it calls stays."""

from django.db import migrations

from souk.catalog.machine import ACTIVE
from souk.orders.machine import PENDING

OFFERS = f"""
-- What `offers_to` tells, and what of each product is free by a look that waits for nobody: NULL where it is not for
-- sale. Whether that much can be held is decided under the lock.
CREATE FUNCTION offers_with_stock(p_buyer uuid, p_ids uuid[], p_most integer)
RETURNS TABLE (
    waiting integer, moment timestamptz, wanted_id uuid, seller_id uuid, seller_username varchar,
    seller_display_name varchar, title varchar, price_amount bigint, price_currency varchar, free integer
) LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
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
               p.price_currency, s.on_hand - s.reserved
          FROM unnest(p_ids) AS w (id)
          LEFT JOIN (catalog_product p JOIN accounts_user u ON u.id = p.seller_id AND u.is_active AND u.deleted IS NULL)
            ON p.id = w.id AND p.state = '{ACTIVE}' AND p.deleted IS NULL
          LEFT JOIN stock_stock s ON s.product_id = w.id AND s.for_sale;
END $$
"""

OPEN = """
-- `open_and_hold` for whoever reads no rows, because COMMIT is sent along: lines that are short are an error, with the
-- rows as its detail, and so the transaction ends without them.
CREATE FUNCTION open_and_hold_or_fail(p_order jsonb, p_lines jsonb, p_event jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    short jsonb;
BEGIN
    SELECT jsonb_agg(to_jsonb(s)) INTO short FROM open_and_hold(p_order, p_lines, p_event) AS s;
    IF short IS NOT NULL THEN
        RAISE EXCEPTION 'some lines of the order are short' USING ERRCODE = 'SK409', DETAIL = short::text;
    END IF;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0006_confirm_and_ask")]

    operations = [
        migrations.RunSQL([OFFERS, OPEN], "DROP FUNCTION open_and_hold_or_fail, offers_with_stock"),
    ]
