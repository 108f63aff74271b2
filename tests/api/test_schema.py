"""What the migrated database promises beyond what the models say."""

from __future__ import annotations

import pytest
from django.db import connection

FOREIGN_KEYS = """
    SELECT conrelid::regclass::text, conname, condeferrable
      FROM pg_constraint
     WHERE contype = 'f' AND conrelid::regclass::text ~ '^(orders|payments|stock|eventlog)_'
     ORDER BY 1, 2
"""


@pytest.mark.django_db
def test_foreign_keys_of_orders_payments_stock_and_events_are_checked_at_once() -> None:
    # A deferred one locks its product or order at COMMIT, under the stock locks: the wrong order, and a deadlock.
    with connection.cursor() as cursor:
        cursor.execute(FOREIGN_KEYS)
        found = cursor.fetchall()
    assert {table for table, _, _ in found} >= {"orders_order", "orders_orderline"}
    assert [(table, name) for table, name, deferrable in found if deferrable] == []
