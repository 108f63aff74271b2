"""The same work as one prepared statement: what PostgreSQL could do if Python cost nothing."""

from __future__ import annotations

import subprocess
from pathlib import Path

from django.db import connection

from souk.stack.postgres import binaries

# All that an order is: who asks, the idempotency row, the offers, the order, lines, history, event, holds, ledger.
CEILING = """
CREATE TABLE IF NOT EXISTS bench_product (n integer PRIMARY KEY, id uuid NOT NULL);
CREATE TABLE IF NOT EXISTS bench_caller (n integer PRIMARY KEY, id uuid NOT NULL, checksum text NOT NULL);
CREATE OR REPLACE FUNCTION bench_place(p_caller integer, p_first integer, p_second integer) RETURNS void
LANGUAGE plpgsql VOLATILE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    buyer uuid;
    wanted uuid[];
    made uuid := uuidv7();
    due timestamptz;
BEGIN
    SELECT u.id INTO STRICT buyer FROM bench_caller c
      JOIN oauth2_provider_accesstoken t ON t.token_checksum = c.checksum
      JOIN accounts_user u ON u.id = t.user_id
     WHERE c.n = p_caller AND t.expires > clock_timestamp() AND t.created >= u.token_epoch AND u.is_active
       AND u.deleted IS NULL;
    PERFORM 1 FROM take_idempotency_key(buyer, made::text);
    SELECT array_agg(id) INTO wanted FROM bench_product WHERE n IN (p_first, p_second);
    SELECT max(o.moment) + interval '300 seconds' INTO due FROM offers_with_stock(buyer, wanted, 50) o;
    INSERT INTO orders_order (id, created, updated, last_sequence, state, currency, total, expires_at, buyer_id)
    VALUES (made, now(), now(), 1, 'PENDING_CONFIRMATION', 'EUR', 3998, due, buyer);
    INSERT INTO orders_orderline (id, created, updated, order_id, number, product_id, seller_id, seller_username,
                                  seller_display_name, title, unit_price, quantity)
    SELECT uuidv7(), now(), now(), made, row_number() OVER () - 1, p.id, p.seller_id, 'seller', '', p.title,
           p.price_amount, 1 FROM catalog_product p WHERE p.id = ANY (wanted);
    INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor)
    VALUES ('order', made, 1, NULL, 'PENDING_CONFIRMATION', 'place', 'user:' || buyer);
    INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)
    VALUES ('order.placed', 'order', made, 1,
            '{"state": "PENDING_CONFIRMATION", "total": {"amount": 3998, "currency": "EUR"}}', 'user:' || buyer,
            ARRAY[buyer]);
    PERFORM 1 FROM reserve_stock(made, wanted, array_fill(1, ARRAY[cardinality(wanted)]), due);
    INSERT INTO kit_idempotentanswer (user_id, key, fingerprint, status, headers, body)
    VALUES (buyer, made::text, sha256(made::text::bytea), 201, '{"Content-Type": "application/json"}',
            convert_to(repeat('x', 1100), 'UTF8'));
END $$
"""
SCRIPT = """\\set caller random(1, {callers})
\\set first random(1, {products})
\\set second {second}
SELECT bench_place(:caller, :first, :second);
"""


def prepare_ceiling() -> tuple[int, int]:
    """Write the function and its tables of numbered callers and products; how many there are of each."""
    with connection.cursor() as cursor:
        cursor.execute(CEILING)
        cursor.execute("TRUNCATE bench_product, bench_caller")
        cursor.execute("INSERT INTO bench_product SELECT row_number() OVER (ORDER BY id), id FROM catalog_product")
        products = cursor.rowcount
        cursor.execute(
            "INSERT INTO bench_caller SELECT row_number() OVER (ORDER BY u.id), u.id, t.token_checksum"
            " FROM accounts_user u JOIN oauth2_provider_accesstoken t ON t.user_id = u.id"
            " WHERE u.username LIKE 'buyer-%%'"
        )
        callers = cursor.rowcount
        cursor.execute("ANALYZE")
    return callers, products


def run_ceiling(url: str, folder: Path, *, callers: int, products: int, seconds: int) -> float:
    """Orders per second of pgbench with eight clients; one product of many, or a single hot one."""
    second = ":first" if products == 1 else f"1 + (:first + random(1, {products - 1}) - 1) % {products}"
    script = folder / "place.sql"
    script.write_text(SCRIPT.format(callers=callers, products=products, second=second))
    argv = [str(binaries() / "pgbench"), "-n", "-M", "prepared", "-c", "8", "-j", "2", "-T", str(seconds)]
    told = subprocess.run([*argv, "-f", str(script), url], check=True, capture_output=True, text=True).stdout
    (line,) = [line for line in told.splitlines() if line.startswith("tps")]
    return round(float(line.split()[2]), 1)
