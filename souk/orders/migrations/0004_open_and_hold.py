"""Writing a new order and holding its stock in one call. Old code can run beside it: what it calls is still there.

The functions keep their plans: for an array of ids PostgreSQL would plan every call anew, and find the same plan.
"""

from django.db import migrations

OPEN_AND_HOLD = """
-- Write a new order (its row, its lines, the first line of its history and its first event), then hold its stock: last,
-- because the stock rows stay locked until the commit. Judges nothing but the stock; returns the lines that are short,
-- and if there are any the caller must roll back.
CREATE FUNCTION open_and_hold(p_order jsonb, p_lines jsonb, p_event jsonb)
RETURNS TABLE (product_id uuid, requested integer, available integer, for_sale boolean)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    o record;
    ids uuid[];
    quantities integer[];
BEGIN
    SELECT * INTO STRICT o FROM jsonb_to_record(p_order) AS r (
        id uuid, buyer_id uuid, state text, currency text, total bigint, created timestamptz, expires_at timestamptz);
    WITH opened AS (
        INSERT INTO orders_order (id, created, updated, last_sequence, state, currency, total, expires_at, buyer_id)
        VALUES (o.id, o.created, o.created, 1, o.state, o.currency, o.total, o.expires_at, o.buyer_id)
    ), written AS (
        INSERT INTO orders_orderline (id, created, updated, order_id, number, product_id, seller_id, seller_username,
                                      seller_display_name, title, unit_price, quantity)
        SELECT l.id, o.created, o.created, o.id, l.number, l.product_id, l.seller_id, l.seller_username,
               l.seller_display_name, l.title, l.unit_price, l.quantity
          FROM jsonb_to_recordset(p_lines) AS l (
            id uuid, number smallint, product_id uuid, seller_id uuid, seller_username text, seller_display_name text,
            title text, unit_price bigint, quantity integer)
        RETURNING product_id, quantity
    ), begun AS (
        INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor, at)
        VALUES ('order', o.id, 1, NULL, o.state, 'place', p_event ->> 'actor', o.created)
    ), told AS (
        INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, traceparent, audience)
        SELECT 'order.placed', 'order', o.id, 1, e.data, e.actor, e.traceparent, e.audience
          FROM jsonb_to_record(p_event) AS e (actor text, traceparent text, data jsonb, audience uuid[])
    )
    SELECT array_agg(w.product_id), array_agg(w.quantity) INTO STRICT ids, quantities FROM written w;
    RETURN QUERY SELECT r.* FROM reserve_stock(o.id, ids, quantities, o.expires_at) AS r;
END $$
"""
ONCE = "ALTER FUNCTION offers_to SET plan_cache_mode = force_generic_plan"
ANEW = "ALTER FUNCTION offers_to RESET plan_cache_mode"


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0003_placing_functions"),
        ("stock", "0003_fewer_statements_under_the_lock"),
    ]

    operations = [
        migrations.RunSQL(OPEN_AND_HOLD, "DROP FUNCTION open_and_hold"),
        migrations.RunSQL(ONCE, ANEW),
    ]
