"""Product events by trigger, and foreign keys that lock at once. Old code can run beside it."""

from django.db import migrations

from souk.kit.migration import immediate_foreign_keys

TELL_PRODUCTS = """
-- Tell what happened to products, whoever changed them: the API, the admin or bulk SQL. Statement-level: an import
-- of thousands of rows pays once. The sequence stands on the stock row (a new product's first event is number 1).
CREATE FUNCTION tell_products() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who text := coalesce(nullif(current_setting('souk.actor', true), ''), 'system');
    trace text := nullif(current_setting('souk.traceparent', true), '');
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO eventlog_event
               (type, subject_type, subject_id, sequence, data, actor, traceparent, audience)
        SELECT 'product.created', 'product', id, 1, product_event_data(new_rows), who, trace, ARRAY[seller_id]
          FROM new_rows;
        RETURN NULL;
    END IF;

    PERFORM 1 FROM stock_stock WHERE product_id IN (SELECT id FROM new_rows) ORDER BY product_id FOR NO KEY UPDATE;
    WITH changed AS (
        SELECT n.id, n.seller_id, product_event_data(n) AS data,
               CASE WHEN n.deleted IS NULL THEN 'product.changed' ELSE 'product.deleted' END AS type
          FROM new_rows n JOIN old_rows o USING (id)
         WHERE (n.version, n.deleted, n.state, n.title, n.description, n.price_amount, n.price_currency, n.images)
               IS DISTINCT FROM
               (o.version, o.deleted, o.state, o.title, o.description, o.price_amount, o.price_currency, o.images)
    ), counted AS (
        UPDATE stock_stock s SET last_sequence = s.last_sequence + 1 FROM changed c WHERE s.product_id = c.id
        RETURNING s.product_id, s.last_sequence
    )
    INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, traceparent, audience)
    SELECT c.type, 'product', c.id, counted.last_sequence, c.data, who, trace, ARRAY[c.seller_id]
      FROM changed c JOIN counted ON counted.product_id = c.id;
    RETURN NULL;
END $$
"""

EVENT_DATA = """
CREATE FUNCTION product_event_data(p catalog_product) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object(
        'title', p.title, 'state', p.state, 'seller_id', p.seller_id, 'version', p.version,
        'price', jsonb_build_object('amount', p.price_amount, 'currency', p.price_currency)
    )
$$
"""

TRIGGERS = """
CREATE TRIGGER tell_created AFTER INSERT ON catalog_product
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tell_products();
CREATE TRIGGER tell_changed AFTER UPDATE ON catalog_product
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tell_products();
"""

UNDO = """
DROP TRIGGER tell_created ON catalog_product;
DROP TRIGGER tell_changed ON catalog_product;
DROP FUNCTION tell_products;
DROP FUNCTION product_event_data;
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial"), ("stock", "0002_stock_functions")]

    operations = [
        immediate_foreign_keys("catalog_product", "catalog_producttag"),
        migrations.RunSQL([EVENT_DATA, TELL_PRODUCTS, TRIGGERS], UNDO),
    ]
