"""The SQL functions that take, keep and give back stock. Old code can run beside it: nothing called them before."""

from django.db import migrations

CHANGE = """
-- Apply changes to counters whose rows the caller has locked, and tell when availability crosses zero.
CREATE FUNCTION change_stock(p_ids uuid[], p_on_hand integer[], p_reserved integer[]) RETURNS void
LANGUAGE sql VOLATILE AS $$
    WITH change AS (
        SELECT * FROM unnest(p_ids, p_on_hand, p_reserved) AS c (product_id, d_on_hand, d_reserved)
    ), before AS (
        SELECT c.*, s.on_hand - s.reserved AS available FROM change c JOIN stock_stock s USING (product_id)
    ), changed AS (
        UPDATE stock_stock s
           SET on_hand = s.on_hand + b.d_on_hand,
               reserved = s.reserved + b.d_reserved,
               version = s.version + 1,
               last_sequence = s.last_sequence
                   + ((b.available > 0) <> (b.available + b.d_on_hand - b.d_reserved > 0))::integer
          FROM before b WHERE s.product_id = b.product_id
        RETURNING s.product_id, s.owner_id, s.last_sequence, s.on_hand - s.reserved AS available, b.available AS was
    )
    INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)
    SELECT CASE WHEN available > 0 THEN 'product.back_in_stock' ELSE 'product.sold_out' END,
           'product', product_id, last_sequence, jsonb_build_object('available', available),
           coalesce(nullif(current_setting('souk.actor', true), ''), 'system'), ARRAY[owner_id]
      FROM changed WHERE (was > 0) <> (available > 0)
$$
"""

OPEN = """
-- Begin the stock of a new product.
CREATE FUNCTION open_stock(p_product uuid, p_owner uuid, p_on_hand integer, p_for_sale boolean, p_actor text)
RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO stock_stock (product_id, owner_id, on_hand, for_sale)
    VALUES (p_product, p_owner, p_on_hand, p_for_sale);
    INSERT INTO stock_movement (product_id, kind, d_on_hand, d_reserved, reason, actor)
    SELECT p_product, 'received', p_on_hand, 0, 'received', p_actor WHERE p_on_hand > 0;
$$
"""

RESERVE = """
-- Hold stock for an order. Returns the short lines; if there are any the caller must roll back. The steps are
-- statements of their own, because only a new statement sees what the holder of an awaited lock has committed.
CREATE FUNCTION reserve_stock(p_order uuid, p_ids uuid[], p_quantities integer[], p_until timestamptz)
RETURNS TABLE (product_id uuid, requested integer, available integer, for_sale boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz;
    freed_ids uuid[] := '{}';
    freed integer[] := '{}';
BEGIN
    PERFORM 1 FROM stock_stock s WHERE s.product_id = ANY (p_ids) ORDER BY s.product_id FOR NO KEY UPDATE;

    moment := clock_timestamp();
    PERFORM 1 FROM stock_hold h WHERE h.product_id = ANY (p_ids) AND h.until <= moment
      ORDER BY h.product_id, h.order_id FOR NO KEY UPDATE;
    IF FOUND THEN
        WITH gone AS (
            DELETE FROM stock_hold h WHERE h.product_id = ANY (p_ids) AND h.until <= moment
            RETURNING h.product_id, h.order_id, h.quantity
        ), told AS (
            INSERT INTO stock_movement (product_id, order_id, kind, d_on_hand, d_reserved)
            SELECT g.product_id, g.order_id, 'release', 0, -g.quantity FROM gone g
        )
        SELECT coalesce(array_agg(f.product_id), '{}'), coalesce(array_agg(f.quantity), '{}') INTO freed_ids, freed
          FROM (SELECT g.product_id, sum(g.quantity)::integer AS quantity FROM gone g GROUP BY g.product_id) f;
    END IF;

    RETURN QUERY
        SELECT w.id, w.quantity, coalesce(s.on_hand - s.reserved + coalesce(f.quantity, 0), 0),
               coalesce(s.for_sale, false)
          FROM unnest(p_ids, p_quantities) AS w (id, quantity)
          LEFT JOIN stock_stock s ON s.product_id = w.id
          LEFT JOIN unnest(freed_ids, freed) AS f (id, quantity) ON f.id = w.id
         WHERE s.product_id IS NULL OR NOT s.for_sale
            OR s.on_hand - s.reserved + coalesce(f.quantity, 0) < w.quantity;
    IF FOUND THEN
        RETURN;
    END IF;

    INSERT INTO stock_hold (product_id, order_id, quantity, until)
    SELECT w.id, p_order, w.quantity, p_until FROM unnest(p_ids, p_quantities) AS w (id, quantity);
    INSERT INTO stock_movement (product_id, order_id, kind, d_on_hand, d_reserved)
    SELECT w.id, p_order, 'hold', 0, w.quantity FROM unnest(p_ids, p_quantities) AS w (id, quantity);
    PERFORM change_stock(array_agg(w.id), array_agg(0), array_agg(w.quantity - coalesce(f.quantity, 0)))
       FROM unnest(p_ids, p_quantities) AS w (id, quantity)
       LEFT JOIN unnest(freed_ids, freed) AS f (id, quantity) ON f.id = w.id;
END $$
"""

HOLDS = """
-- Keep an order's holds for good, as far as they are not due; returns how many.
CREATE FUNCTION keep_holds(p_order uuid) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    kept integer;
BEGIN
    PERFORM 1 FROM stock_hold WHERE order_id = p_order ORDER BY product_id FOR NO KEY UPDATE;
    UPDATE stock_hold SET until = 'infinity' WHERE order_id = p_order AND until > clock_timestamp();
    GET DIAGNOSTICS kept = ROW_COUNT;
    RETURN kept;
END $$;

-- Give an order's holds their deadline back.
CREATE FUNCTION limit_holds(p_order uuid, p_until timestamptz) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM 1 FROM stock_hold WHERE order_id = p_order ORDER BY product_id FOR NO KEY UPDATE;
    UPDATE stock_hold SET until = p_until WHERE order_id = p_order;
END $$;

-- End the holds of orders: 'release' gives the units back, 'sale' lets them leave. Returns how many holds there were.
CREATE FUNCTION settle_holds(p_orders uuid[], p_kind text) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    settled integer;
    ids uuid[];
    quantities integer[];
    sold integer := (p_kind = 'sale')::integer;
BEGIN
    PERFORM 1 FROM stock_stock
      WHERE product_id IN (SELECT product_id FROM stock_hold WHERE order_id = ANY (p_orders))
      ORDER BY product_id FOR NO KEY UPDATE;
    PERFORM 1 FROM stock_hold WHERE order_id = ANY (p_orders) ORDER BY product_id, order_id FOR NO KEY UPDATE;
    WITH gone AS (
        DELETE FROM stock_hold WHERE order_id = ANY (p_orders) RETURNING product_id, order_id, quantity
    ), told AS (
        INSERT INTO stock_movement (product_id, order_id, kind, d_on_hand, d_reserved)
        SELECT product_id, order_id, p_kind, -quantity * sold, -quantity FROM gone
    )
    SELECT coalesce(sum(f.holds), 0), array_agg(f.product_id), array_agg(f.quantity) INTO settled, ids, quantities
      FROM (SELECT product_id, count(*) AS holds, sum(quantity)::integer AS quantity FROM gone GROUP BY product_id) f;
    IF settled > 0 THEN
        PERFORM change_stock(array_agg(f.id), array_agg(-f.quantity * sold), array_agg(-f.quantity))
           FROM unnest(ids, quantities) AS f (id, quantity);
    END IF;
    RETURN settled;
END $$
"""

CORRECT = """
-- Set (p_on_hand) or change (p_change) what is on hand. Returns the movement, or NULL when more is reserved than that.
CREATE FUNCTION correct_stock(
    p_product uuid, p_on_hand integer, p_change integer, p_reason text, p_note text, p_actor text
) RETURNS uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found stock_stock;
    difference integer;
    told uuid;
BEGIN
    SELECT * INTO STRICT found FROM stock_stock WHERE product_id = p_product FOR NO KEY UPDATE;
    difference := coalesce(p_change, p_on_hand - found.on_hand);
    IF found.on_hand + difference < found.reserved THEN
        RETURN NULL;
    END IF;
    INSERT INTO stock_movement (product_id, kind, d_on_hand, d_reserved, reason, note, actor)
    VALUES (p_product, CASE p_reason WHEN 'received' THEN 'received' ELSE 'correction' END,
            difference, 0, p_reason, p_note, p_actor)
    RETURNING id INTO told;
    PERFORM change_stock(ARRAY[p_product], ARRAY[difference], ARRAY[0]);
    RETURN told;
END $$;

-- Open or close a product to new holds.
CREATE FUNCTION set_for_sale(p_product uuid, p_for_sale boolean) RETURNS void LANGUAGE sql VOLATILE AS $$
    UPDATE stock_stock SET for_sale = p_for_sale WHERE product_id = p_product
$$
"""

UNDO = """
DROP FUNCTION
    set_for_sale, correct_stock, settle_holds, limit_holds, keep_holds, reserve_stock, open_stock, change_stock
"""


class Migration(migrations.Migration):
    dependencies = [("stock", "0001_initial"), ("eventlog", "0001_initial")]

    operations = [
        # Room for the counters' new versions in the same page: an order rewrites its stock rows in place.
        migrations.RunSQL("ALTER TABLE stock_stock SET (fillfactor = 50)", migrations.RunSQL.noop),
        migrations.RunSQL([CHANGE, OPEN, RESERVE, HOLDS, CORRECT], UNDO),
    ]
