"""The moment of a UUIDv7, for answers that PostgreSQL writes. Old code can run beside it: nothing called it."""

from django.db import migrations

# PostgreSQL reads the moment itself from 18 on; the longer way costs a page of products a tenth of its time.
EITHER = """
DO $do$
DECLARE
    longer CONSTANT text := $$to_timestamp(('x' || substr(id::text, 1, 8) || substr(id::text, 10, 4))::bit(48)::bigint
                                           / 1000::float8)$$;
    shorter CONSTANT text := CASE WHEN current_setting('server_version_num')::integer >= 180000
                                  THEN format('coalesce(uuid_extract_timestamp(id), %s)', longer) ELSE longer END;
BEGIN
    EXECUTE format('CREATE FUNCTION moment_of_id(id uuid) RETURNS timestamptz'
                   ' LANGUAGE sql STABLE PARALLEL SAFE RETURN %s', shorter);
END $do$
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0004_tag_uses")]

    operations = [migrations.RunSQL([EITHER], "DROP FUNCTION moment_of_id")]
