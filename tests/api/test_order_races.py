"""Many at once over HTTP: a unit is never promised twice, and no deadlock surfaces."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from souk.orders.operations import accept_order, expire_due_orders
from souk.payments.operations import capture_payment
from tests.books import let_deadline_pass, rows_of, stock_of, value_of
from tests.callers import Answer, SignedIn
from tests.paying import ask_provider, confirm, hear_outcome, latest_payment_id
from tests.rivals import at_once, in_background, rival, wait_for_waiting


def outcomes(answers: list[Answer]) -> Counter[str]:
    """How often each outcome was heard: the status of a success, the code of a refusal."""
    return Counter(str(answer.status) if answer.status < 400 else answer.code for answer in answers)


def placing(buyer: SignedIn, *lines: tuple[dict[str, Any], int]) -> Callable[[], Answer]:
    """The wish to order these."""
    return lambda: buyer.order(*lines)


def test_twenty_wishes_for_ten_units_sell_exactly_ten(seller: SignedIn, buyer: SignedIn, stranger: SignedIn) -> None:
    mug = seller.offer(stock=10)
    answers = at_once([placing(caller, (mug, 1)) for caller in (buyer, stranger)] * 10)
    assert outcomes(answers) == {"201": 10, "out_of_stock": 10}
    assert all(answer.body["errors"][0]["available"] == 0 for answer in answers if answer.status == 409)
    assert stock_of(mug) == (10, 10)
    assert value_of("SELECT count(*) FROM orders_order") == 10


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_orders_with_lines_in_any_order_are_all_placed(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn, stranger: SignedIn, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  # a repeatable shuffle
    products = [caller.offer(stock=1000) for caller in (seller, other_seller) for _ in range(3)]
    wishes = [
        placing(caller, *[(product, chance.randint(1, 3)) for product in chance.sample(products, 4)])
        for caller in (buyer, stranger)
        for _ in range(10)
    ]
    answers = at_once(wishes)
    assert outcomes(answers) == {"201": 20}
    wanted: Counter[str] = Counter()
    for answer in answers:
        wanted.update({line["product_id"]: line["quantity"] for line in answer.body["lines"]})
    assert {product["id"]: stock_of(product)[1] for product in products} == {p["id"]: wanted[p["id"]] for p in products}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everything_at_once_leaves_books_that_agree(
    seller: SignedIn, buyer: SignedIn, stranger: SignedIn, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  # a repeatable shuffle
    mug, lamp, cup = (seller.offer(stock=12) for _ in range(3))
    placed = [buyer.order((lamp, 1), (mug, 2)).body["id"] for _ in range(4)]
    due = [stranger.order((mug, 1), (cup, 2)).body["id"] for _ in range(2)]
    for order_id in due:
        let_deadline_pass(order_id)
    confirmed = [buyer.order((cup, 1), (lamp, 1)).body["id"] for _ in range(2)]
    for order_id in confirmed:
        assert confirm(buyer, order_id).status == 200
        ask_provider(order_id)
    calls: list[Callable[[], object]] = [
        *[lambda order_id=order_id: confirm(buyer, order_id).status for order_id in placed[:2]],
        *[lambda order_id=order_id: buyer.post(f"/orders/{order_id}/cancel").status for order_id in placed[1:]],
        *[lambda order_id=order_id: hear_outcome(order_id) for order_id in confirmed],
        expire_due_orders,
        expire_due_orders,
        lambda: stranger.order((mug, 3), (lamp, 3), (cup, 3)).status,
        lambda: stranger.order((cup, 3), (lamp, 3), (mug, 3)).status,
        lambda: seller.patch(f"/products/{mug['id']}", {"stock": 20, "title": "Big mug"}).status,
        lambda: seller.post(f"/products/{cup['id']}/archive").status,
        lambda: seller.delete(f"/products/{lamp['id']}").status,
    ]
    chance.shuffle(calls)
    heard = at_once(calls)
    assert {status for status in heard if isinstance(status, int)} <= {0, 1, 2, 200, 201, 204, 409}
    assert [state for (state,) in rows_of("SELECT state FROM orders_order WHERE id = ANY(%s::uuid[])", confirmed)] == [
        "ACCEPTED"
    ] * 2
    while expire_due_orders():
        pass
    assert [state for (state,) in rows_of("SELECT state FROM orders_order WHERE id = ANY(%s::uuid[])", due)] == [
        "NOT_CONFIRMED"
    ] * 2


def test_a_product_deleted_while_an_order_waits_for_its_stock_is_not_sold(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=5)
    with rival() as cursor:
        cursor.execute("SELECT 1 FROM stock_stock WHERE product_id = %s FOR NO KEY UPDATE", [mug["id"]])
        with in_background(lambda: buyer.order((mug, 1))) as ordering:
            wait_for_waiting()
            cursor.execute("UPDATE stock_stock SET for_sale = false WHERE product_id = %s", [mug["id"]])
            cursor.connection.commit()
            refused = ordering.result()
    assert (refused.status, refused.code, refused.pointers) == (409, "product_not_for_sale", ["/lines/0"])
    assert stock_of(mug) == (5, 0)
    assert value_of("SELECT count(*) FROM orders_order") == 0


def test_hoarders_at_once_get_no_more_than_the_limit(seller: SignedIn, buyer: SignedIn, settings: Settings) -> None:
    settings.MAX_HOLDS_PER_USER = 3
    mug = seller.offer(stock=100)
    assert outcomes(at_once([placing(buyer, (mug, 1))] * 10)) == {"201": 3, "too_many_holds": 7}
    assert stock_of(mug) == (100, 3)


def test_confirmations_at_once_ask_for_one_payment(seller: SignedIn, buyer: SignedIn) -> None:
    order_id = buyer.order((seller.offer(), 1)).body["id"]
    answers = at_once([lambda: confirm(buyer, order_id)] * 8)
    assert outcomes(answers) == {"200": 1, "illegal_transition": 7}
    assert rows_of("SELECT attempt, state FROM payments_payment") == [(1, "REQUESTED")]


def test_hearing_of_a_payment_many_times_at_once_sells_once(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=5)
    order_id = buyer.order((mug, 2)).body["id"]
    assert confirm(buyer, order_id).status == 200
    payment_id = latest_payment_id(order_id)
    assert ask_provider(order_id) == "CAPTURED"

    def hear() -> None:
        capture_payment(payment_id=payment_id, charge_id="another")
        accept_order(order_id=UUID(order_id), payment_id=payment_id)

    at_once([hear] * 6)
    assert stock_of(mug) == (3, 0)
    assert rows_of("SELECT type FROM eventlog_event WHERE subject_id = %s ORDER BY n", order_id) == [
        ("order.placed",),
        ("order.confirmed",),
        ("order.accepted",),
    ]


def test_a_victim_of_a_deadlock_is_tried_again_and_nobody_hears_of_it(seller: SignedIn, buyer: SignedIn) -> None:
    first, second = sorted((seller.offer(stock=5), seller.offer(stock=5)), key=lambda product: str(product["id"]))
    with rival() as cursor:
        # The wrong way round, on purpose: the highest first. The order waits for longer, and so becomes the victim.
        cursor.execute("SELECT 1 FROM stock_stock WHERE product_id = %s FOR NO KEY UPDATE", [second["id"]])
        with in_background(lambda: buyer.order((first, 1), (second, 1))) as ordering:
            wait_for_waiting()
            cursor.execute("SELECT 1 FROM stock_stock WHERE product_id = %s FOR NO KEY UPDATE", [first["id"]])
            cursor.connection.rollback()
            assert ordering.result().status == 201
    assert (stock_of(first), stock_of(second)) == ((5, 1), (5, 1))
    assert value_of("SELECT count(*) FROM orders_order") == 1


def test_a_lock_that_is_held_too_long_is_a_dependency_that_does_not_answer(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer(stock=5)
    with rival() as cursor:
        cursor.execute("SELECT 1 FROM stock_stock FOR NO KEY UPDATE")
        refused = buyer.order((mug, 1))
        assert (refused.status, refused.code) == (503, "dependency_unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
    assert value_of("SELECT count(*) FROM orders_order") == 0
    assert buyer.order((mug, 1)).status == 201
