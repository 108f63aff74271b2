"""An order's stock is held in the last round trip of its transaction. Old code can go on: what it calls stays."""

from importlib import import_module

from django.db import migrations

OFFERS_BEFORE = (
    "CREATE FUNCTION"
    + import_module("souk.orders.migrations.0003_placing_functions").OFFERS.partition("CREATE FUNCTION")[2]
)
OFFERS = (
    """
-- What `offers_to` tells, and what of each product is free by a look that waits for nobody: NULL where it is not for
-- sale. Whether that much can be held is decided under the lock.
"""
    + OFFERS_BEFORE
)
for old, new in (
    ("offers_to(", "offers_with_stock("),
    ("price_currency varchar\n)", "price_currency varchar, free integer\n)"),
    ("VOLATILE AS", "VOLATILE SET plan_cache_mode = force_generic_plan AS"),
    ("p.price_currency\n", "p.price_currency, s.on_hand - s.reserved\n"),
    (
        "p.deleted IS NULL;\n",
        "p.deleted IS NULL\n          LEFT JOIN stock_stock s ON s.product_id = w.id AND s.for_sale;\n",
    ),
):
    OFFERS = OFFERS.replace(old, new)

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
