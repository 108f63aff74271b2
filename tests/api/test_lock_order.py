"""No lock that the lock order does not know: product -> order -> stock (by id) -> hold, and none of them stronger."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

import pytest
from django.apps import apps

from souk.orders.operations import expire_due_orders
from tests.books import let_deadline_pass, rows_of
from tests.callers import SignedIn
from tests.paying import ask_provider, confirm, hear_outcome
from tests.rivals import in_background, rival, wait_for_waiting
from tests.sources import SOUK, modules, nodes, place

FOREIGN_KEYS = """
    SELECT c.conrelid::regclass::text, c.conname, c.condeferrable
      FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
     WHERE c.contype = 'f' AND n.nspname = 'public'
"""
# The tables of the OAuth toolkit are written at sign-in alone, and never under a lock of ours.
FOREIGN_TABLES = ("oauth2_provider_", "auth_", "django_")
# A purge locks the bookkeeping rows that it deletes next, and waits for nobody: nothing can come of that.
STRONG_LOCK = re.compile(r"\bFOR\s+UPDATE\b(?!\s+(OF\s+\w+\s+)?SKIP\s+LOCKED)", re.IGNORECASE)
ANY_STRONG_LOCK = re.compile(r"\bFOR\s+UPDATE\b", re.IGNORECASE)


def called(node: ast.AST) -> str:
    """The name of the method that a call calls."""
    return node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""


def test_every_row_lock_of_the_orm_leaves_foreign_keys_alone() -> None:
    locks = [(path, node) for path, node in nodes("souk") if called(node) == "select_for_update"]
    assert locks
    strong = [
        place(path, node.lineno)
        for path, node in locks
        if isinstance(node, ast.Call)
        and not any(
            keyword.arg == "no_key" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
            for keyword in node.keywords
        )
    ]
    assert strong == []


def test_every_row_lock_of_plain_sql_leaves_foreign_keys_alone() -> None:
    texts = {place(path): path.read_text(encoding="utf-8") for path in modules("souk")}
    assert any("FOR NO KEY UPDATE" in text for text in texts.values())
    assert [path for path, text in texts.items() if STRONG_LOCK.search(text)] == []
    assert [path for path, text in texts.items() if "/migrations/" in path and ANY_STRONG_LOCK.search(text)] == []


def test_no_foreign_key_waits_for_the_commit(clean_database: None) -> None:
    own = [row for row in rows_of(FOREIGN_KEYS) if not row[0].startswith(FOREIGN_TABLES)]
    assert {"catalog_product", "catalog_producttag", "orders_order", "orders_orderline"} <= {table for table, *_ in own}
    assert [(table, name) for table, name, deferrable in own if deferrable] == []


def test_no_other_constraint_waits_for_the_commit_either(clean_database: None) -> None:
    waiting = rows_of(
        "SELECT conrelid::regclass::text, conname FROM pg_constraint"
        " WHERE condeferrable AND contype IN ('u', 'p', 'x') AND conrelid::regclass::text !~ '^(oauth2|auth|django)_'"
    )
    assert waiting == []


def test_the_tables_that_orders_lock_last_point_to_nothing(clean_database: None) -> None:
    # A foreign key there would lock another room's row under the stock locks.
    last = {"stock_stock", "stock_hold", "stock_movement", "eventlog_event", "eventlog_transition", "payments_payment"}
    assert [row for row in rows_of(FOREIGN_KEYS) if row[0] in last] == []
    assert {f"{model._meta.db_table}" for model in apps.get_models()} >= last


def test_the_sql_functions_are_volatile_and_lock_in_the_order_of_ids(clean_database: None) -> None:
    bodies = dict(
        rows_of(
            "SELECT p.proname, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname = 'public' AND p.prolang IN (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')"
            " AND p.provolatile = 'v'"
        )
    )
    assert {"reserve_stock", "keep_holds", "limit_holds", "settle_holds", "correct_stock", "number_events"} <= set(
        bodies
    )
    for name in ("reserve_stock", "keep_holds", "limit_holds", "settle_holds"):
        locks = re.findall(r"(?:PERFORM 1|SELECT \*) FROM (.*?) FOR NO KEY UPDATE", bodies[name], re.DOTALL)
        assert locks
        assert all("ORDER BY" in lock for lock in locks), name


def test_nothing_in_a_migration_makes_a_deferred_key_after_the_last_mending() -> None:
    mended = {
        table
        for path in modules("souk")
        if path.is_relative_to(SOUK) and path.parent.name == "migrations"
        for call in re.findall(r"immediate_foreign_keys\((.*?)\)", path.read_text(encoding="utf-8"), re.DOTALL)
        for table in re.findall(r'"(\w+)"', call)
    }
    with_keys = {
        model._meta.db_table
        for model in apps.get_models()
        if model.__module__.startswith("souk.") and any(field.many_to_one for field in model._meta.get_fields())
    }
    assert with_keys - mended == set()


@pytest.mark.parametrize("verb", ["place", "cancel", "accept", "expire"])
def test_stock_is_locked_by_rising_ids_whatever_the_order_of_the_lines(
    seller: SignedIn, buyer: SignedIn, verb: str
) -> None:
    low, middle, high = sorted((seller.offer() for _ in range(3)), key=lambda product: str(product["id"]))
    order_id = buyer.order((high, 1), (low, 1), (middle, 1)).body["id"]
    if verb == "accept":
        assert confirm(buyer, order_id).status == 200
        ask_provider(order_id)
    elif verb == "expire":
        let_deadline_pass(order_id)
    verbs: dict[str, Callable[[], object]] = {
        "place": lambda: buyer.order((middle, 1), (high, 1), (low, 1)).status,
        "cancel": lambda: buyer.post(f"/orders/{order_id}/cancel").status,
        "accept": lambda: hear_outcome(order_id),
        "expire": expire_due_orders,
    }
    with rival() as holder:
        holder.execute("SELECT 1 FROM stock_stock WHERE product_id = %s FOR NO KEY UPDATE", [middle["id"]])
        with in_background(verbs[verb]) as waiting:
            wait_for_waiting()
            with rival() as looker:
                looker.execute("SELECT product_id::text FROM stock_stock FOR NO KEY UPDATE SKIP LOCKED")
                free = looker.fetchall()
            holder.connection.rollback()
            assert waiting.result() == {"place": 201, "cancel": 200, "accept": None, "expire": 1}[verb]
    assert free == [(high["id"],)]
