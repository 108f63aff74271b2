"""`souk stock check [--repair]` and the gauges: drift is found, mended and measured."""

from __future__ import annotations

from uuid import UUID

import pytest

from souk.orders.operations.auditing import find_drift, note_drift, repair_stock
from tests.books import assert_books_agree, rows_of, run, stock_of
from tests.callers import Api, SignedIn


def gauge(name: str) -> float:
    lines = Api().send("GET", "//metrics").body.splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name} ")]
    return float(line.split()[1])


def test_agreeing_books_have_no_drift(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", stock=5)
    buyer.order((mug, 2))
    buyer.post(f"/orders/{buyer.order((mug, 1)).body['id']}/cancel")
    assert find_drift() == []
    assert (gauge("souk_holds_open"), gauge("souk_holds_overdue_seconds"), gauge("souk_stock_drift")) == (1, 0, 0)


def test_what_the_clock_finds_in_the_ledger_and_the_lines_is_measured(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", stock=5)
    buyer.order((mug, 2))
    assert note_drift() == 0
    assert gauge("souk_stock_drift") == 0 <= gauge("souk_stock_compared_seconds")
    run("UPDATE stock_stock SET on_hand = 7 WHERE product_id = %s", mug["id"])
    assert gauge("souk_stock_drift") == 0  # no hold tells of it
    assert note_drift() == 1
    assert gauge("souk_stock_drift") == 1
    repair_stock(product_id=UUID(mug["id"]))
    assert note_drift() == 0
    assert gauge("souk_stock_drift") == 0


@pytest.mark.parametrize(
    ("damage", "after"),
    [
        ("UPDATE stock_stock SET reserved = 4 WHERE product_id = %s", (5, 3)),
        ("UPDATE stock_stock SET reserved = 0 WHERE product_id = %s", (5, 3)),
        ("UPDATE stock_stock SET on_hand = 7 WHERE product_id = %s", (7, 3)),
        ("DELETE FROM stock_movement WHERE kind = 'hold' AND product_id = %s", (5, 3)),
        ("DELETE FROM stock_hold WHERE until = 'infinity' AND product_id = %s", (5, 3)),
        ("INSERT INTO stock_hold VALUES (%s, uuidv7(), 1, clock_timestamp() + interval '1 hour')", (5, 3)),
    ],
)
def test_every_kind_of_drift_is_found_and_mended_with_a_line_in_the_ledger(
    seller: SignedIn, buyer: SignedIn, damage: str, after: tuple[int, int]
) -> None:
    mug, lamp = seller.offer("Mug", stock=5), seller.offer("Lamp", stock=5)
    buyer.order((mug, 2), (lamp, 1))
    paid = buyer.order((mug, 1)).body
    buyer.post(f"/orders/{paid['id']}/confirm", {"payment": {"method": "card", "token": "tok_ok"}})
    assert run(damage, mug["id"]) >= 1
    assert [drift.product_id for drift in find_drift()] == [UUID(mug["id"])]
    assert find_drift()[0].beyond_repair is False
    repair_stock(product_id=UUID(mug["id"]))
    assert find_drift() == []
    assert (stock_of(mug), stock_of(lamp)) == (after, (5, 1))
    corrections = rows_of("SELECT note, actor FROM stock_movement WHERE kind = 'correction'")
    assert corrections in ([], [("stock check --repair", "system")])
    # Which order a lost line of the ledger belonged to nobody can tell: it stays a correction of the product.
    run("DELETE FROM stock_movement WHERE kind = 'correction'")
    run("UPDATE stock_stock SET on_hand = 5 WHERE product_id = %s", mug["id"])
    if "stock_movement" in damage:
        run(
            "INSERT INTO stock_movement (product_id, order_id, kind, d_on_hand, d_reserved)"
            " SELECT product_id, order_id, 'hold', 0, quantity FROM stock_hold WHERE product_id = %s",
            mug["id"],
        )
    assert_books_agree()


def test_the_gauge_counts_products_whose_counter_is_not_their_holds(seller: SignedIn) -> None:
    mug = seller.offer("Mug", stock=5)
    run("UPDATE stock_stock SET reserved = 1 WHERE product_id = %s", mug["id"])
    assert gauge("souk_stock_drift") == 1
    repair_stock(product_id=UUID(mug["id"]))
    assert gauge("souk_stock_drift") == 0
    assert stock_of(mug) == (5, 0)
