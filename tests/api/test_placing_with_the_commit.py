"""Stock that is held with the COMMIT of its order: who is overtaken hears the same, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection

from souk.orders.operations.placing import offers_to
from tests.books import checksums, let_deadline_pass, rows_of, stock_of
from tests.callers import SignedIn


@pytest.fixture
def overtaken(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gives what lets a statement of somebody else's commit between the look at the offers and the hold."""
    statements: list[str] = []

    def look(**asked: Any) -> Any:
        offers = offers_to(**asked)
        at = connection.settings_dict
        with psycopg.connect(connection.connection.info.dsn, password=at["PASSWORD"], autocommit=True) as other:
            while statements:
                other.execute(statements.pop().encode())
        return offers

    monkeypatch.setattr("souk.orders.operations.placing.offers_to", look)
    return statements.append


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "overtaken"}])
def test_an_order_that_is_overtaken_at_the_end_holds_nothing(
    seller: SignedIn, buyer: SignedIn, overtaken: Callable[[str], None], key: dict[str, str]
) -> None:
    mug, lamp = seller.offer("Mug", stock=5), seller.offer("Lamp", stock=1)
    wanted = {"lines": [{"product_id": mug["id"], "quantity": 2}, {"product_id": lamp["id"], "quantity": 1}]}
    overtaken(f"SELECT correct_stock('{lamp['id']}', NULL, -1, 'damaged', '', 'system')")
    before = checksums()
    refused = buyer.post("/orders", wanted, headers=key)
    assert (refused.status, refused.code) == (409, "out_of_stock")
    (error,) = refused.body["errors"]
    assert (error["pointer"], error["requested"], error["available"]) == ("/lines/1", 1, 0)
    after = checksums()
    changed = {table for table in before if before[table] != after[table]}
    assert changed == {"stock_stock", "stock_movement", "eventlog_event", *(["kit_idempotentanswer"] if key else [])}
    assert (stock_of(mug), stock_of(lamp)) == ((5, 0), (0, 0))
    if key:
        again = buyer.post("/orders", wanted, headers=key)
        assert (again.body, again.headers["Idempotent-Replayed"]) == (refused.body, "true")
    assert buyer.order((mug, 2)).status == 201
    assert stock_of(mug) == (5, 2)


def test_a_product_that_is_archived_meanwhile_is_not_for_sale(
    seller: SignedIn, buyer: SignedIn, overtaken: Callable[[str], None]
) -> None:
    mug = seller.offer("Mug", stock=5)
    overtaken(f"SELECT set_for_sale('{mug['id']}', false)")
    refused = buyer.order((mug, 2))
    assert (refused.status, refused.code, refused.pointers) == (409, "product_not_for_sale", ["/lines/0"])
    assert stock_of(mug) == (5, 0)
    assert rows_of("SELECT 1 FROM orders_order") == []


def test_what_is_short_at_the_first_look_is_no_error_of_the_database(
    seller: SignedIn, buyer: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("souk.orders.operations.placing.prepared_at_commit", never)
    mug = seller.offer("Mug", stock=1)
    assert buyer.order((mug, 2)).code == "out_of_stock"


def test_units_whose_hold_is_due_are_sold_though_they_seem_to_be_held(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn
) -> None:
    mug = seller.offer("Mug", stock=1)
    let_deadline_pass(buyer.order((mug, 1)).body["id"])
    assert other_seller.order((mug, 1)).status == 201
    assert stock_of(mug) == (1, 1)
