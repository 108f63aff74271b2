"""Confirming an order and asking for its payment in one call. Old code can run beside it: it does the same in five."""

from django.db import migrations

CONFIRM = """
-- Confirm a pending order: keep its holds, judge by them and by the clock, change its state and ask for the payment.
-- `sequence` is NULL when it is too late, by the deadline or because another buyer has taken a hold that was due; the
-- caller must roll back then. The caller has locked the order in an earlier statement and read its state, and the
-- machine has said where the event leads.
CREATE FUNCTION confirm_and_ask(p_order uuid, p_change jsonb, p_payment jsonb)
RETURNS TABLE (moment timestamptz, sequence integer, attempt integer)
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    c record;
    kept integer;
BEGIN
    SELECT * INTO STRICT c FROM jsonb_to_record(p_change) AS r (
        source text, target text, lines integer, actor text, traceparent text, data jsonb, audience uuid[]);
    kept := keep_holds(p_order);
    moment := clock_timestamp();
    WITH changed AS (
        UPDATE orders_order SET state = c.target, updated = moment, confirmed_at = moment,
                                last_sequence = last_sequence + 1
         WHERE id = p_order AND state = c.source AND expires_at > moment AND kept >= c.lines
        RETURNING last_sequence
    ), history AS (
        INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor, at)
        SELECT 'order', p_order,
               1 + (SELECT coalesce(max(t.sequence), 0) FROM eventlog_transition t WHERE t.subject_id = p_order),
               c.source, c.target, 'confirm', c.actor, moment
          FROM changed
    ), told AS (
        INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, traceparent, audience)
        SELECT 'order.confirmed', 'order', p_order, last_sequence, c.data, c.actor, c.traceparent, c.audience
          FROM changed
    )
    SELECT last_sequence INTO sequence FROM changed;
    IF sequence IS NOT NULL THEN
        attempt := ask_payment(p_payment, c.actor, c.traceparent, moment);
    END IF;
    RETURN NEXT;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0005_book_check"),
        ("payments", "0004_ask_payment"),
        ("stock", "0003_fewer_statements_under_the_lock"),
    ]

    operations = [migrations.RunSQL(CONFIRM, "DROP FUNCTION confirm_and_ask")]
