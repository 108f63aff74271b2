"""What must be true of all rows after every test, and whether anything was changed at all."""

from __future__ import annotations

from typing import Any

from django.db import connection

# Each question gives the rows that break its rule; none may.
RULES = {
    "the counters are the sums of the ledger and of the holds": """
        SELECT product_id, s.on_hand, s.reserved, m.on_hand, m.reserved, h.quantity
          FROM stock_stock s
          FULL JOIN (SELECT product_id, sum(d_on_hand) AS on_hand, sum(d_reserved) AS reserved
                       FROM stock_movement GROUP BY product_id) m USING (product_id)
          FULL JOIN (SELECT product_id, sum(quantity) AS quantity
                       FROM stock_hold GROUP BY product_id) h USING (product_id)
         WHERE s.on_hand IS DISTINCT FROM coalesce(m.on_hand, 0)
            OR s.reserved IS DISTINCT FROM coalesce(m.reserved, 0)
            OR s.reserved IS DISTINCT FROM coalesce(h.quantity, 0)
            OR s.reserved NOT BETWEEN 0 AND s.on_hand""",
    "an order holds what its state and its deadline say": """
        SELECT o.id, o.state, l.quantity, h.quantity, h.until
          FROM orders_order o JOIN orders_orderline l ON l.order_id = o.id
          LEFT JOIN stock_hold h ON h.order_id = o.id AND h.product_id = l.product_id
         WHERE CASE o.state
               WHEN 'CONFIRMED' THEN (h.quantity, h.until) IS DISTINCT FROM (l.quantity, 'infinity'::timestamptz)
               WHEN 'PENDING_CONFIRMATION' THEN
                    (h.quantity, h.until) IS DISTINCT FROM (l.quantity, o.expires_at)
                    AND NOT (h.quantity IS NULL AND o.expires_at <= clock_timestamp())
               ELSE h.quantity IS NOT NULL END""",
    "nothing is held but for a line of an order": """
        SELECT h.product_id, h.order_id FROM stock_hold h
         WHERE NOT EXISTS (SELECT 1 FROM orders_orderline l
                            WHERE l.order_id = h.order_id AND l.product_id = h.product_id)""",
    "the ledger of a line is its hold, its release or its sale": """
        SELECT l.order_id, l.product_id, o.state, l.quantity, m.on_hand, m.reserved, h.quantity
          FROM orders_orderline l JOIN orders_order o ON o.id = l.order_id
          LEFT JOIN (SELECT order_id, product_id, sum(d_on_hand) AS on_hand, sum(d_reserved) AS reserved
                       FROM stock_movement GROUP BY order_id, product_id) m USING (order_id, product_id)
          LEFT JOIN stock_hold h USING (order_id, product_id)
         WHERE m.on_hand IS DISTINCT FROM CASE o.state WHEN 'ACCEPTED' THEN -l.quantity ELSE 0 END
            OR m.reserved IS DISTINCT FROM coalesce(h.quantity, 0)""",
    "an order's total is the sum of its lines": """
        SELECT o.id, o.total, sum(l.unit_price * l.quantity)
          FROM orders_order o LEFT JOIN orders_orderline l ON l.order_id = o.id
         GROUP BY o.id HAVING o.total IS DISTINCT FROM sum(l.unit_price * l.quantity)""",
    "an order is paid exactly when it is accepted or just about to be": """
        SELECT o.id, o.state, p.captured, p.requested, p.charged
          FROM orders_order o
          LEFT JOIN LATERAL (
               SELECT count(*) FILTER (WHERE state = 'CAPTURED') AS captured,
                      count(*) FILTER (WHERE state = 'REQUESTED') AS requested,
                      count(c.key) FILTER (WHERE NOT c.refunded) AS charged
                 FROM payments_payment LEFT JOIN payments_providercharge c ON c.key = id
                WHERE reference = o.id) p ON true
         WHERE CASE o.state WHEN 'ACCEPTED' THEN (p.captured, p.requested, p.charged) <> (1, 0, 1)
                            WHEN 'CONFIRMED' THEN p.captured + p.requested > 1 OR p.charged > 1
                            ELSE p.requested > 0 OR p.captured > 0 END""",
    "the events of a subject are numbered without holes": """
        WITH counted AS (
            SELECT 'order' AS type, id, last_sequence FROM orders_order
            UNION ALL SELECT 'payment', id, last_sequence FROM payments_payment
            UNION ALL SELECT 'user', id, last_sequence FROM accounts_user
            UNION ALL SELECT 'product', product_id, last_sequence FROM stock_stock
            UNION ALL SELECT 'webhook', id, last_sequence FROM webhooks_webhook
        )
        SELECT subject_type, subject_id, min(e.sequence), max(e.sequence), count(*), last_sequence
          FROM eventlog_event e LEFT JOIN counted c ON c.type = e.subject_type AND c.id = e.subject_id
         GROUP BY subject_type, subject_id, last_sequence
        HAVING max(e.sequence) - min(e.sequence) + 1 <> count(*) OR max(e.sequence) <> last_sequence""",
    "the history of a row is a path that ends in its state": """
        WITH path AS (
            SELECT subject_id, sequence, source, target,
                   row_number() OVER w AS number, lag(target) OVER w AS before, lead(target) OVER w AS after
              FROM eventlog_transition WINDOW w AS (PARTITION BY subject_id ORDER BY sequence)
        ), alive AS (
            SELECT id, state FROM orders_order
            UNION ALL SELECT id, state FROM payments_payment UNION ALL SELECT id, state FROM catalog_product
            UNION ALL SELECT id, state FROM bags_bag UNION ALL SELECT id, state FROM webhooks_webhook
        )
        SELECT p.subject_id, p.sequence, p.source, p.target, a.state
          FROM path p FULL JOIN alive a ON a.id = p.subject_id
         WHERE p.sequence IS DISTINCT FROM p.number OR p.source IS DISTINCT FROM p.before
            OR (p.after IS NULL AND p.target IS DISTINCT FROM a.state)""",
    "positions are given once, without holes, and their readers are those of the event": """
        SELECT e.position, e.audience, a.readers
          FROM eventlog_event e
          LEFT JOIN (SELECT event_id, array_agg(user_id ORDER BY user_id) AS readers, min(position) AS first,
                            max(position) AS last
                       FROM eventlog_audience GROUP BY event_id) a ON a.event_id = e.id
         WHERE coalesce(a.readers, '{}') IS DISTINCT FROM CASE WHEN e.position IS NULL THEN '{}'
               ELSE ARRAY(SELECT DISTINCT unnest(e.audience) ORDER BY 1) END
            OR a.first IS DISTINCT FROM a.last OR (a.first IS NOT NULL AND a.first <> e.position)""",
}


def assert_books_agree() -> None:
    """Stock, ledger, holds, orders, payments, histories and events tell one story."""
    broken = {rule: rows for rule, sql in RULES.items() if (rows := rows_of(sql))}
    assert broken == {}


def rows_of(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What the statement gives; `infinity` must be cast to text."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(parameters))
        return list(cursor.fetchall())


def value_of(sql: str, *parameters: Any) -> Any:
    """The one value that the statement gives."""
    ((value,),) = rows_of(sql, *parameters)
    return value


def run(sql: str, *parameters: Any) -> int:
    """Run a statement that gives no rows; how many it changed."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(parameters))
        return int(cursor.rowcount)


def checksums() -> dict[str, str]:
    """A digest of every table: equal before and after what must change nothing."""
    tables = [name for (name,) in rows_of("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
    return {
        table: value_of(f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t")  # noqa: S608  # names from the catalogue
        for table in tables
    }


def stock_of(product: dict[str, Any]) -> tuple[int, int]:
    """On hand and reserved."""
    ((on_hand, reserved),) = rows_of("SELECT on_hand, reserved FROM stock_stock WHERE product_id = %s", product["id"])
    return on_hand, reserved


def holds_of(order_id: str) -> list[tuple[str, int, str]]:
    """Product, quantity and until (`infinity`, or a moment as RFC 3339) of what an order holds, by product."""
    rows = rows_of(
        "SELECT product_id::text, quantity, CASE WHEN until = 'infinity' THEN 'infinity' ELSE"
        " to_char(until AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') END"
        "  FROM stock_hold WHERE order_id = %s ORDER BY product_id",
        order_id,
    )
    return [(product_id, quantity, until) for product_id, quantity, until in rows]


def movements_of(product: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Kind and changes of a product's movements, oldest first."""
    rows = rows_of(
        "SELECT kind, d_on_hand, d_reserved FROM stock_movement WHERE product_id = %s ORDER BY at, id", product["id"]
    )
    return [(kind, d_on_hand, d_reserved) for kind, d_on_hand, d_reserved in rows]


def events_of(subject_id: str) -> list[str]:
    """The types of a subject's events, by sequence."""
    rows = rows_of("SELECT type FROM eventlog_event WHERE subject_id = %s ORDER BY sequence", subject_id)
    return [event_type for (event_type,) in rows]


def let_deadline_pass(order_id: str) -> None:
    """Move an order's deadline, and that of its holds, into the past."""
    run("UPDATE orders_order SET expires_at = clock_timestamp() - interval '1 second' WHERE id = %s", order_id)
    run(
        "UPDATE stock_hold h SET until = o.expires_at FROM orders_order o"
        " WHERE o.id = h.order_id AND o.id = %s AND h.until < 'infinity'",
        order_id,
    )
