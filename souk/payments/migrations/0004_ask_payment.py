"""Writing a payment that is asked for in one call. Old code can run beside it: it inserts the same rows itself."""

from django.db import migrations

ASK = """
-- Write a payment as its next attempt, with the first line of its history and its first event; returns which attempt it
-- is. The caller has locked what `reference` stands for, in an earlier statement, and then read the clock.
CREATE FUNCTION ask_payment(p_payment jsonb, p_actor text, p_traceparent text, p_at timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    p record;
    which integer;
BEGIN
    SELECT * INTO STRICT p FROM jsonb_to_record(p_payment) AS r (
        id uuid, state text, reference uuid, payer_id uuid, amount bigint, currency text, token text);
    WITH asked AS (
        INSERT INTO payments_payment (id, created, updated, last_sequence, state, reference, attempt, payer_id, amount,
                                      currency, token, tries)
        SELECT p.id, p_at, p_at, 1, p.state, p.reference, coalesce(max(before.attempt), 0) + 1, p.payer_id, p.amount,
               p.currency, p.token, 0
          FROM payments_payment before WHERE before.reference = p.reference
        RETURNING attempt
    ), begun AS (
        INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor, at)
        VALUES ('payment', p.id, 1, NULL, p.state, 'request', p_actor, p_at)
    ), told AS (
        INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, traceparent, audience)
        SELECT 'payment.requested', 'payment', p.id, 1,
               jsonb_build_object('reference', p.reference, 'attempt', attempt, 'amount', p.amount,
                                  'currency', p.currency),
               p_actor, p_traceparent, ARRAY[p.payer_id]
          FROM asked
    )
    SELECT attempt INTO STRICT which FROM asked;
    RETURN which;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [("payments", "0003_money_to_give_back")]

    operations = [migrations.RunSQL(ASK, "DROP FUNCTION ask_payment")]
