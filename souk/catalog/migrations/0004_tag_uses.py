"""How many products wear a tag, for suggestions. Old code can run beside it: nothing read it."""

from django.db import migrations, models

NOTES = """
-- Differences of catalog_tag.products_count that are not added up yet. Notes never wait for each other.
CREATE TABLE catalog_tag_use (tag_id uuid NOT NULL, change integer NOT NULL);

CREATE FUNCTION fold_tag_uses() RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    folded integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('souk.tag_uses', 0)) THEN
        RETURN 0;
    END IF;
    WITH noted AS (
        DELETE FROM catalog_tag_use RETURNING tag_id, change
    ), summed AS (
        SELECT tag_id, sum(change) AS change, count(*) AS notes FROM noted GROUP BY tag_id
    ), added AS (
        UPDATE catalog_tag t SET products_count = t.products_count + s.change
          FROM summed s WHERE t.id = s.tag_id AND s.change <> 0
    )
    SELECT coalesce(sum(notes), 0) INTO folded FROM summed;
    RETURN folded;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0003_import_memory")]

    operations = [
        migrations.AddField(
            model_name="tag", name="products_count", field=models.IntegerField(db_default=0, editable=False)
        ),
        migrations.AddIndex(
            model_name="tag",
            index=models.Index(
                models.OrderBy(models.F("products_count"), descending=True),
                models.F("name"),
                condition=models.Q(("deleted__isnull", True)),
                name="tag_most_used_first",
            ),
        ),
        migrations.AddIndex(
            model_name="tag",
            index=models.Index(
                fields=["name"],
                opclasses=["varchar_pattern_ops"],
                condition=models.Q(("deleted__isnull", True)),
                name="tag_name_prefix",
            ),
        ),
        migrations.RunSQL(NOTES, "DROP FUNCTION fold_tag_uses; DROP TABLE catalog_tag_use"),
    ]
