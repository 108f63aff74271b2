"""Switches that break one rule at a time in the database of the tests, to show that the races notice. Not in Souk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection

from tests.books import run, value_of

LOCK_STOCK = " ORDER BY product_id FOR NO KEY UPDATE) AS s;"
MOMENT = "\n    PERFORM pg_sleep(0.005);"
JUDGE = "    SELECT count(*) = cardinality(p_ids)"
LOCK_AS_THEY_COME = """
    FOR place IN 1..cardinality(p_ids) LOOP
        PERFORM 1 FROM stock_stock s WHERE s.product_id = p_ids[place] FOR NO KEY UPDATE;
    END LOOP;
"""
SHADOWS = "ALTER DATABASE {name} SET search_path = public, pg_catalog"


def no_lock() -> None:
    """The stock rows are read and judged without being locked.

    Between judging and holding there is a moment, as on a busier machine: the commit follows the hold at once, and two
    buyers of the last unit would hardly ever meet in between. With the lock the moment does no harm.
    """
    _rewrite(LOCK_STOCK, ") AS s;" + MOMENT)


def no_order() -> None:
    """The stock rows are locked as the lines come, not by id."""
    _rewrite(JUDGE, LOCK_AS_THEY_COME + JUDGE)


def stale_clock() -> None:
    """Everybody is judged by the moment at which their transaction began."""
    run("CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()'")
    run(SHADOWS.format(name=connection.settings_dict["NAME"]))


def no_unique_key() -> None:
    """Nobody looks whether a request with this key is being answered, and the same key may be written twice."""
    run("CREATE FUNCTION public.pg_try_advisory_xact_lock(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'")
    run("ALTER TABLE kit_idempotentanswer DROP CONSTRAINT kit_idempotentanswer_pkey")
    run(SHADOWS.format(name=connection.settings_dict["NAME"]))


RULES: tuple[Callable[[], None], ...] = (no_lock, no_order, stale_clock, no_unique_key)


@contextmanager
def broken(rule: Callable[[], None]) -> Iterator[None]:
    """Break the rule until the block ends. A server that is to feel it must be started inside."""
    name = connection.settings_dict["NAME"]
    whole = value_of("SELECT pg_get_functiondef('reserve_stock'::regproc)")
    rule()
    try:
        yield
    finally:
        run(f"ALTER DATABASE {name} RESET search_path")
        run("DROP FUNCTION IF EXISTS public.clock_timestamp(), public.pg_try_advisory_xact_lock(bigint)")
        run(whole.replace("%", "%%"))
        if rule is no_unique_key:
            run("TRUNCATE kit_idempotentanswer")
            run("ALTER TABLE kit_idempotentanswer ADD PRIMARY KEY (user_id, key)")


def _rewrite(rule: str, instead: str) -> None:
    text = value_of("SELECT pg_get_functiondef('reserve_stock'::regproc)")
    assert text.count(rule) == 1, "the switch no longer finds the rule that it breaks"
    run(text.replace(rule, instead).replace("%", "%%"))
