"""The SQL functions of stock, called as the operations call them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction

from souk.stock.operations import (
    ShortLine,
    StockBelowReserved,
    count_stock,
    limit_holds,
    move_stock,
    release_stock,
    sell_stock,
    set_for_sale,
)
from tests.books import checksums, events_of, movements_of, rows_of, run, stock_of
from tests.callers import SignedIn
from tests.holding import keep_holds, reserve_stock

FAR = datetime(2100, 1, 1, tzinfo=UTC)
PAST = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def mug(seller: SignedIn) -> dict[str, Any]:
    """Ten mugs."""
    return seller.offer("Mug", stock=10)


@pytest.fixture
def lamp(seller: SignedIn) -> dict[str, Any]:
    """One lamp."""
    return seller.offer("Lamp", stock=1)


def held(order_id: UUID) -> list[tuple[str, int, str]]:
    """What an order holds, by product; the moment as text."""
    rows = rows_of(
        "SELECT product_id::text, quantity, extract(year FROM until)::text FROM stock_hold WHERE order_id = %s"
        " ORDER BY product_id",
        order_id,
    )
    return [(product, quantity, year) for product, quantity, year in rows]


def reserve(order_id: UUID, *wanted: tuple[dict[str, Any], int], until: datetime = FAR) -> list[ShortLine]:
    """Hold these for an order."""
    lines = [(UUID(product["id"]), quantity) for product, quantity in wanted]
    return reserve_stock(order_id=order_id, wanted=lines, until=until)


@pytest.fixture
def settled() -> Any:
    """Give back what orders that are in no table still hold, so that the books agree."""

    def end(*order_ids: UUID) -> None:
        release_stock(order_ids=order_ids)
        assert rows_of("SELECT 1 FROM stock_hold") == []

    return end


def test_holding_raises_reserved_and_returns_nothing_short(
    mug: dict[str, Any], lamp: dict[str, Any], settled: Any
) -> None:
    order = uuid4()
    assert reserve(order, (lamp, 1), (mug, 4)) == []
    assert (stock_of(mug), stock_of(lamp)) == ((10, 4), (1, 1))
    assert held(order) == sorted([(mug["id"], 4, "2100"), (lamp["id"], 1, "2100")])
    settled(order)
    assert (stock_of(mug), stock_of(lamp)) == ((10, 0), (1, 0))
    assert movements_of(mug) == [("received", 10, 0), ("hold", 0, 4), ("release", 0, -4)]
    assert events_of(lamp["id"]) == ["product.created", "product.sold_out", "product.back_in_stock"]


def test_every_short_line_is_told_and_nothing_else_is_changed(mug: dict[str, Any], lamp: dict[str, Any]) -> None:
    before = checksums()
    unknown = {"id": str(uuid4())}
    short = reserve(uuid4(), (mug, 11), (lamp, 1), (unknown, 3))
    assert {line.product_id: line for line in short} == {
        UUID(mug["id"]): ShortLine(UUID(mug["id"]), 11, 10, True),
        UUID(unknown["id"]): ShortLine(UUID(unknown["id"]), 3, 0, False),
    }
    assert checksums() == before


def test_a_product_that_is_closed_is_short_however_much_of_it_there_is(mug: dict[str, Any]) -> None:
    set_for_sale(product_id=UUID(mug["id"]), for_sale=False)
    before = checksums()
    assert reserve(uuid4(), (mug, 1)) == [ShortLine(UUID(mug["id"]), 1, 10, False)]
    assert checksums() == before


def test_due_holds_count_as_available_whoever_left_them(
    mug: dict[str, Any], lamp: dict[str, Any], settled: Any
) -> None:
    late, later, order = uuid4(), uuid4(), uuid4()
    assert reserve(late, (mug, 6), (lamp, 1), until=PAST) == []
    assert reserve(later, (mug, 10), until=PAST + timedelta(days=1)) == []
    assert held(late) == [(lamp["id"], 1, "2000")]
    assert reserve(order, (mug, 8)) == []
    assert held(later) == []
    assert stock_of(mug) == (10, 8)
    assert stock_of(lamp) == (1, 1)
    assert movements_of(mug) == [
        ("received", 10, 0),
        ("hold", 0, 6),
        ("release", 0, -6),
        ("hold", 0, 10),
        ("release", 0, -10),
        ("hold", 0, 8),
    ]
    settled(late, order)


def test_short_though_due_holds_were_freed_is_undone_by_the_callers_rollback(mug: dict[str, Any], settled: Any) -> None:
    late = uuid4()
    assert reserve(late, (mug, 6), until=PAST) == []
    before = checksums()
    with transaction.atomic():
        assert reserve(uuid4(), (mug, 11)) == [ShortLine(UUID(mug["id"]), 11, 10, True)]
        transaction.set_rollback(True)
    assert checksums() == before
    settled(late)


def test_an_order_holds_a_product_once(mug: dict[str, Any], settled: Any) -> None:
    order = uuid4()
    assert reserve(order, (mug, 1)) == []
    before = checksums()
    with pytest.raises(IntegrityError):
        reserve(order, (mug, 1))
    assert checksums() == before
    settled(order)


def test_kept_holds_have_no_end_until_they_are_limited_again(
    mug: dict[str, Any], lamp: dict[str, Any], settled: Any
) -> None:
    order = uuid4()
    reserve(order, (mug, 2), (lamp, 1))
    assert keep_holds(order_id=order) == 2
    assert {year for _, _, year in held(order)} == {"Infinity"}
    assert reserve(uuid4(), (lamp, 1)) == [ShortLine(UUID(lamp["id"]), 1, 0, True)]
    limit_holds(order_id=order, until=FAR)
    assert {year for _, _, year in held(order)} == {"2100"}
    assert keep_holds(order_id=uuid4()) == 0
    settled(order)


def test_a_due_hold_is_not_kept(mug: dict[str, Any], lamp: dict[str, Any], settled: Any) -> None:
    order = uuid4()
    reserve(order, (mug, 2), (lamp, 1))
    run("UPDATE stock_hold SET until = %s WHERE product_id = %s", PAST, lamp["id"])
    assert keep_holds(order_id=order) == 1
    settled(order)


def test_sold_units_leave_the_house(mug: dict[str, Any], lamp: dict[str, Any], settled: Any) -> None:
    order, other = uuid4(), uuid4()
    reserve(order, (mug, 2), (lamp, 1))
    reserve(other, (mug, 3))
    sell_stock(order_id=order)
    assert (stock_of(mug), stock_of(lamp)) == ((8, 3), (0, 0))
    sell_stock(order_id=order)
    assert movements_of(lamp) == [("received", 1, 0), ("hold", 0, 1), ("sale", -1, -1)]
    settled(other)
    assert stock_of(mug) == (8, 0)


def test_many_orders_are_released_in_one_call(mug: dict[str, Any], lamp: dict[str, Any]) -> None:
    orders = [uuid4() for _ in range(3)]
    for order in orders:
        reserve(order, (mug, 2))
    reserve(orders[0], (lamp, 1))
    release_stock(order_ids=[*orders, uuid4()])
    assert (stock_of(mug), stock_of(lamp)) == ((10, 0), (1, 0))
    assert movements_of(mug)[-3:] == [("release", 0, -2)] * 3
    before = checksums()
    release_stock(order_ids=orders)
    release_stock(order_ids=[])
    assert checksums() == before


def test_corrections_stop_at_what_is_reserved(mug: dict[str, Any], settled: Any) -> None:
    product_id, order = UUID(mug["id"]), uuid4()
    reserve(order, (mug, 4))
    before = checksums()
    with pytest.raises(StockBelowReserved) as refused:
        count_stock(product_id=product_id, on_hand=3, actor="system")
    assert refused.value.errors[0]["pointer"] == "/stock"
    with pytest.raises(StockBelowReserved) as refused:
        move_stock(product_id=product_id, change=-7, reason="damaged", note=None, actor="system")
    assert refused.value.errors[0]["pointer"] == "/change"
    assert checksums() == before
    count_stock(product_id=product_id, on_hand=4, actor="system")
    assert stock_of(mug) == (4, 4)
    moved = move_stock(product_id=product_id, change=3, reason="received", note="a box", actor="system")
    assert rows_of("SELECT kind, d_on_hand, reason, note FROM stock_movement WHERE id = %s", moved) == [
        ("received", 3, "received", "a box")
    ]
    assert stock_of(mug) == (7, 4)
    settled(order)


def test_the_database_itself_refuses_counters_that_cannot_be(mug: dict[str, Any]) -> None:
    before = checksums()
    for reserved in (-1, 11):
        with pytest.raises(IntegrityError, match="stock_reserved_fits"):
            run("UPDATE stock_stock SET reserved = %s", reserved)
    assert checksums() == before
