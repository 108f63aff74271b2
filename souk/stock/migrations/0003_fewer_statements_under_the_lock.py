"""Holding stock in three statements where it took seven, all with plans that are made once. Old code can run beside it.

A plan that suits any parameters is as good as one for these here (a handful of ids, each found by its key), and saves
planning every call anew, which is what PostgreSQL chooses for arrays by itself.
"""

from django.db import migrations

CHANGE = """
CREATE OR REPLACE FUNCTION change_stock(p_ids uuid[], p_on_hand integer[], p_reserved integer[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    WITH changed AS (
        UPDATE stock_stock s
           SET on_hand = s.on_hand + c.d_on_hand,
               reserved = s.reserved + c.d_reserved,
               version = s.version + 1,
               last_sequence = s.last_sequence + ((s.on_hand - s.reserved > 0)
                   <> (s.on_hand - s.reserved + c.d_on_hand - c.d_reserved > 0))::integer
          FROM unnest(p_ids, p_on_hand, p_reserved) AS c (id, d_on_hand, d_reserved)
         WHERE s.product_id = c.id
        RETURNING s.product_id, s.owner_id, s.last_sequence, s.on_hand - s.reserved AS available,
                  s.on_hand - s.reserved - c.d_on_hand + c.d_reserved AS was
    )
    INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)
    SELECT CASE WHEN available > 0 THEN 'product.back_in_stock' ELSE 'product.sold_out' END,
           'product', product_id, last_sequence, jsonb_build_object('available', available),
           coalesce(nullif(current_setting('souk.actor', true), ''), 'system'), ARRAY[owner_id]
      FROM changed WHERE (was > 0) <> (available > 0);
END $$
"""

RESERVE = """
CREATE OR REPLACE FUNCTION reserve_stock(p_order uuid, p_ids uuid[], p_quantities integer[], p_until timestamptz)
RETURNS TABLE (product_id uuid, requested integer, available integer, for_sale boolean)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    enough boolean;
    moment timestamptz;
    -- What `reserved` changes by, in the order of p_ids: less than is held where due holds of the product go.
    changes integer[] := p_quantities;
BEGIN
    -- The rows as they are after the wait for their locks.
    SELECT count(*) = cardinality(p_ids)
           AND bool_and(s.for_sale AND s.on_hand - s.reserved >= p_quantities[array_position(p_ids, s.product_id)])
      INTO enough
      FROM (SELECT * FROM stock_stock WHERE product_id = ANY (p_ids) ORDER BY product_id FOR NO KEY UPDATE) AS s;

    moment := clock_timestamp();
    PERFORM 1 FROM stock_hold h WHERE h.product_id = ANY (p_ids) AND h.until <= moment
      ORDER BY h.product_id, h.order_id FOR NO KEY UPDATE;
    IF FOUND THEN
        enough := false; -- is looked at again below, with these
        WITH gone AS (
            DELETE FROM stock_hold h WHERE h.product_id = ANY (p_ids) AND h.until <= moment
            RETURNING h.product_id, h.order_id, h.quantity
        ), told AS (
            INSERT INTO stock_movement (product_id, order_id, kind, d_on_hand, d_reserved)
            SELECT g.product_id, g.order_id, 'release', 0, -g.quantity FROM gone g
        ), freed AS (
            SELECT g.product_id, sum(g.quantity)::integer AS quantity FROM gone g GROUP BY g.product_id
        )
        SELECT array_agg(w.quantity - coalesce(f.quantity, 0) ORDER BY w.place) INTO changes
          FROM unnest(p_ids, p_quantities) WITH ORDINALITY AS w (id, quantity, place)
          LEFT JOIN freed f ON f.product_id = w.id;
    END IF;

    IF enough IS NOT TRUE THEN
        RETURN QUERY
            SELECT w.id, w.quantity, coalesce(s.on_hand - s.reserved + w.quantity - w.change, 0),
                   coalesce(s.for_sale, false)
              FROM unnest(p_ids, p_quantities, changes) AS w (id, quantity, change)
              LEFT JOIN stock_stock s ON s.product_id = w.id
             WHERE s.product_id IS NULL OR NOT s.for_sale OR s.on_hand - s.reserved < w.change;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;

    WITH wanted AS (
        SELECT * FROM unnest(p_ids, p_quantities, changes) AS w (id, quantity, change)
    ), held AS (
        INSERT INTO stock_hold (product_id, order_id, quantity, until)
        SELECT w.id, p_order, w.quantity, p_until FROM wanted w
    ), told AS (
        INSERT INTO stock_movement (product_id, order_id, kind, d_on_hand, d_reserved)
        SELECT w.id, p_order, 'hold', 0, w.quantity FROM wanted w
    ), changed AS (
        UPDATE stock_stock s
           SET reserved = s.reserved + w.change,
               version = s.version + 1,
               last_sequence = s.last_sequence
                   + ((s.on_hand - s.reserved > 0) <> (s.on_hand - s.reserved - w.change > 0))::integer
          FROM wanted w WHERE s.product_id = w.id
        RETURNING s.product_id, s.owner_id, s.last_sequence, s.on_hand - s.reserved AS available,
                  s.on_hand - s.reserved + w.change AS was
    )
    INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)
    SELECT CASE WHEN available > 0 THEN 'product.back_in_stock' ELSE 'product.sold_out' END,
           'product', product_id, last_sequence, jsonb_build_object('available', available),
           coalesce(nullif(current_setting('souk.actor', true), ''), 'system'), ARRAY[owner_id]
      FROM changed WHERE (was > 0) <> (available > 0);
END $$
"""

SETTLE = """
CREATE OR REPLACE FUNCTION settle_holds(p_orders uuid[], p_kind text) RETURNS integer
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    settled integer;
    ids uuid[];
    on_hand integer[];
    reserved integer[];
    sold integer := (p_kind = 'sale')::integer;
BEGIN
    PERFORM 1 FROM stock_stock
      WHERE product_id = ANY (ARRAY(SELECT product_id FROM stock_hold WHERE order_id = ANY (p_orders)))
      ORDER BY product_id FOR NO KEY UPDATE;
    PERFORM 1 FROM stock_hold WHERE order_id = ANY (p_orders) ORDER BY product_id, order_id FOR NO KEY UPDATE;
    WITH gone AS (
        DELETE FROM stock_hold WHERE order_id = ANY (p_orders) RETURNING product_id, order_id, quantity
    ), told AS (
        INSERT INTO stock_movement (product_id, order_id, kind, d_on_hand, d_reserved)
        SELECT product_id, order_id, p_kind, -quantity * sold, -quantity FROM gone
    )
    SELECT coalesce(sum(f.holds), 0), array_agg(f.product_id), array_agg(-f.quantity * sold), array_agg(-f.quantity)
      INTO settled, ids, on_hand, reserved
      FROM (SELECT product_id, count(*) AS holds, sum(quantity)::integer AS quantity FROM gone GROUP BY product_id) f;
    IF settled > 0 THEN
        PERFORM change_stock(ids, on_hand, reserved);
    END IF;
    RETURN settled;
END $$
"""

GENERIC = """
ALTER FUNCTION keep_holds SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION limit_holds SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION correct_stock SET plan_cache_mode = force_generic_plan
"""


class Migration(migrations.Migration):
    dependencies = [("stock", "0002_stock_functions")]

    operations = [
        migrations.RunSQL([CHANGE, RESERVE, SETTLE, GENERIC], migrations.RunSQL.noop),
    ]
