"""What is newer than the statistics is reckoned by its time, and statistics are made more often. Old code can go on.

It counted as a thousandth of all, so that a first look went over all of it: up to a tenth of ten million products.
"""

from importlib import import_module

from django.db import migrations

STEPS = """
-- About how many thousandths (more exactly: steps) of the products were published before a moment. Behind the last of
-- them as many in a time as were in the ten before it, to a twentieth of all.
CREATE OR REPLACE FUNCTION steps_before(p_milliseconds bigint) RETURNS double precision LANGUAGE sql STABLE STRICT AS $$
    SELECT place + CASE
               WHEN length > 1 THEN least((p_milliseconds - milliseconds)::float8 / length, 1)
               ELSE coalesce(least(
                        (p_milliseconds - milliseconds) * 10 / nullif(milliseconds - (
                            SELECT e.milliseconds FROM search_step e
                             WHERE e.milliseconds < s.milliseconds ORDER BY e.milliseconds DESC OFFSET 9 LIMIT 1), 0
                        )::float8, 1 + 0.05 * place), least(p_milliseconds - milliseconds, 1)) END
      FROM search_step s WHERE milliseconds <= p_milliseconds ORDER BY milliseconds DESC LIMIT 1
$$;
ALTER TABLE search_product SET (autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000);
"""
OLD_STEPS = (
    "CREATE OR REPLACE FUNCTION steps_before"
    + import_module("souk.search.migrations.0004_look_up_by_shares").STATISTICS.partition("FUNCTION steps_before")[2]
    + "ALTER TABLE search_product RESET (autovacuum_analyze_scale_factor, autovacuum_analyze_threshold);"
)


class Migration(migrations.Migration):
    dependencies = [("search", "0011_walk_over_a_seller")]

    operations = [migrations.RunSQL([STEPS], [OLD_STEPS])]
