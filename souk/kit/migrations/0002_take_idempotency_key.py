"""The function that takes an Idempotency-Key. Old code can run beside it: it takes the same lock by itself."""

from django.db import migrations

TAKE = """
-- Take the key until the transaction ends, and give the answer that stands under it: no row when there is none. When
-- somebody else is answering under it, one row that is not `is_mine`. The look-up is a statement after the lock, and so
-- it sees what the lock's last holder committed just before letting go.
CREATE FUNCTION take_idempotency_key(p_user uuid, p_key text)
RETURNS TABLE (is_mine boolean, fingerprint bytea, status smallint, headers text, body bytea)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended(p_user || ' ' || p_key, 20)) THEN
        is_mine := false;
        RETURN NEXT;
    ELSE
        RETURN QUERY
            SELECT true, a.fingerprint, a.status, a.headers::text, a.body
              FROM kit_idempotentanswer a WHERE a.user_id = p_user AND a.key = p_key;
    END IF;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("kit", "0001_initial")]

    operations = [migrations.RunSQL(TAKE, "DROP FUNCTION take_idempotency_key")]
