"""The games. Each plays one race in a fresh world and checks everything; docs/races.md tells what each is about."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
from django.db import connection

from bench.calling import Caller
from souk.kit.entity import new_id
from souk.orders.operations import accept_order, expire_due_orders, take_back_order
from souk.payments.operations import capture_payment, decline_payment
from souk.reactions.payments import give_back_due_refunds
from tests.books import rows_of, stock_of
from tests.races.world import Heard, World, check, let_fall_due, wait_until

# What may be heard of a pending order that others end at the same time.
ENDINGS = {"200", "order_expired", "illegal_transition"}


def two_hundred_buyers_want_fifty_units(world: World) -> None:
    """Exactly fifty get one, and everybody else hears that there is none left."""
    (product,) = world.products(1, stock=50)
    buyers = world.buyers(200)
    world.at_once([partial(world.order, buyer, [(product, 1)]) for buyer in buyers])
    assert world.outcomes() == {"201": 50, "out_of_stock": 150}
    assert stock_of({"id": product}) == (50, 50)
    check(world, allowed={"201", "out_of_stock"})


def orders_of_many_lines_meet_cancels_expiries_restocks_and_deletions(world: World) -> None:
    """Lines in random order, and everything else that touches stock at once: no deadlock surfaces."""
    products = world.products(6, stock=30)
    buyers = world.buyers(12)
    jobs: list[Any] = [partial(_order_and_end, world, buyer, products, world.chance.random()) for buyer in buyers * 5]
    jobs += [expire_due_orders] * 10
    for product in products[:5] * 3:
        counted = {"stock": world.chance.choice([29, 33, 35])}
        jobs.append(partial(world.send, world.seller, "PATCH", f"/products/{product}", counted))
    jobs.append(partial(world.send, world.seller, "DELETE", f"/products/{products[5]}"))
    world.at_once(jobs)
    check(world, allowed={"201", "204", "out_of_stock", "product_not_for_sale", "stock_below_reserved"} | ENDINGS)


def _order_and_end(world: World, buyer: Caller, products: list[UUID], fate: float) -> None:
    lines = world.chance.sample(products, world.chance.randint(1, 5))
    heard = world.order(buyer, [(product, world.chance.randint(1, 2)) for product in lines])
    if heard.status != 201:
        return
    if fate < 0.3:
        world.cancel(buyer, heard.answer["id"])
    elif fate < 0.6:
        world.confirm(buyer, heard.answer["id"])
    elif fate < 0.8:
        let_fall_due([heard.answer["id"]], seconds=0.02)


def stock_is_reserved_in_any_order_of_lines(world: World) -> None:
    """The SQL functions themselves, without the retries of the doors: PostgreSQL never finds a deadlock."""
    products = world.products(4, stock=10_000)
    url = connection.settings_dict
    until = time.monotonic() + 2

    def reserve_and_release() -> int:
        rounds = 0
        address = {"host": url["HOST"], "port": url["PORT"], "user": url["USER"], "password": url["PASSWORD"] or None}
        with psycopg.connect(dbname=url["NAME"], **address) as line:
            while time.monotonic() < until:
                order = new_id()
                wanted = world.chance.sample(products, 4)
                due = "clock_timestamp() + interval '1 minute'"
                line.execute(f"SELECT reserve_stock(%s, %s::uuid[], %s, {due})", [order, wanted, [1] * 4])
                line.commit()
                line.execute("SELECT settle_holds(%s::uuid[], 'release')", [[order]])
                line.commit()
                rounds += 1
        return rounds

    try:
        rounds = world.at_once([reserve_and_release] * 6, hands=6)
    except psycopg.errors.DeadlockDetected as deadlock:
        raise AssertionError("a deadlock surfaced") from deadlock
    assert min(rounds) > 0
    check(world, allowed=set())


def confirm_cancel_expiry_and_a_rival_meet_at_the_deadline(world: World) -> None:
    """For each of many units: exactly one of them wins, in whatever order they arrive."""
    products = world.products(16, stock=1)
    owners, rivals = world.buyers(16), world.buyers(16, called="rival")
    placed = [world.order(owner, [(product, 1)]).answer["id"] for owner, product in zip(owners, products, strict=True)]
    due = let_fall_due(placed, seconds=1.0)

    def near(job: Any, offset: float) -> Any:
        wait_until(due + offset)
        return job()

    jobs: list[Any] = []
    for order_id, owner, rival, product in zip(placed, owners, rivals, products, strict=True):
        jobs += [partial(world.confirm, owner, order_id), partial(world.cancel, owner, order_id)]
        jobs += [partial(world.order, rival, [(product, 1)]), expire_due_orders]
    jobs = [partial(near, job, world.chance.uniform(-0.15, 0.15)) for job in jobs]
    world.at_once(jobs, hands=32)
    wait_until(due + 0.2)
    expire_due_orders()
    states = dict(rows_of("SELECT id::text, state FROM orders_order"))
    for heard in (one for one in world.history if one.status == 200):
        won = {"confirm": "CONFIRMED", "cancel": "CANCELLED"}[heard.path.rpartition("/")[2]]
        assert states[heard.path.split("/")[2]] == won
    for order_id, product in zip(placed, products, strict=True):
        holders = rows_of("SELECT order_id::text FROM stock_hold WHERE product_id = %s", product)
        assert len(holders) <= 1
        assert (states[order_id] == "CONFIRMED") == ((order_id,) in holders)
    check(world, allowed={"201", "out_of_stock"} | ENDINGS)


def a_lock_is_held_past_the_deadline_and_let_go_without_a_change(world: World) -> None:
    """Whoever waited for it is judged by the clock after the wait, not by that before it."""
    products = world.products(4, stock=1)
    buyers = world.buyers(4)
    placed = [world.order(buyer, [(product, 1)]).answer["id"] for buyer, product in zip(buyers, products, strict=True)]
    url = connection.settings_dict
    address = {"host": url["HOST"], "port": url["PORT"], "user": url["USER"], "password": url["PASSWORD"] or None}
    due = let_fall_due(placed, seconds=0.8)

    def hold_and_let_go() -> None:
        with psycopg.connect(dbname=url["NAME"], **address) as line:
            line.execute("SELECT 1 FROM orders_order WHERE id = ANY(%s::uuid[]) FOR NO KEY UPDATE", [placed])
            wait_until(due + 0.3)
            line.rollback()

    def come_while_it_is_held(buyer: Caller, order_id: str) -> Heard:
        wait_until(due - 0.4)
        return world.confirm(buyer, order_id)

    jobs: list[Any] = [hold_and_let_go]
    jobs += [partial(come_while_it_is_held, buyer, order_id) for buyer, order_id in zip(buyers, placed, strict=True)]
    world.at_once(jobs, hands=8)
    assert world.outcomes("/confirm") == {"order_expired": 4}
    assert expire_due_orders() == 4
    check(world, allowed={"201", "order_expired"})


def fifty_identical_requests_carry_one_key(world: World) -> None:
    """One effect; every answer is that of the first, or says that it is being made."""
    (product,) = world.products(1, stock=50)
    (buyer,) = world.buyers(1)
    key = uuid4().hex
    heard = world.at_once([partial(world.order, buyer, [(product, 1)], key=key) for _ in range(50)], hands=25)
    assert {one.outcome for one in heard} <= {"201", "idempotency_in_progress"}
    answers = {str(one.answer) for one in heard if one.status == 201}
    assert len(answers) == 1
    assert rows_of("SELECT count(*) FROM orders_order") == [(1,)]
    assert world.order(buyer, [(product, 1)], key=key).status == 201
    assert stock_of({"id": product}) == (50, 1)
    check(world, allowed={"201", "idempotency_in_progress"})


def a_bag_is_changed_while_it_is_ordered(world: World) -> None:
    """Each change is in the order or in the next bag: none is lost, none is ordered twice."""
    products = world.products(8, stock=500)
    (buyer,) = world.buyers(1)
    put = [partial(world.send, buyer, "PUT", f"/bag/lines/{product}", {"quantity": 1}) for product in products]
    order = partial(world.send, buyer, "POST", "/bag/order")
    world.at_once([*put, order, *put, order, *put, order])
    placed = [one.answer for one in world.history if one.status == 201]
    bags = rows_of("SELECT order_id::text, id FROM bags_bag WHERE state = 'ORDERED'")
    assert sorted(order_id for order_id, _ in bags) == sorted(one["id"] for one in placed)
    for order_id, bag_id in bags:
        (lines,) = [one["lines"] for one in placed if one["id"] == order_id]
        kept = rows_of("SELECT product_id::text FROM bags_bagline WHERE bag_id = %s AND deleted IS NULL", bag_id)
        assert sorted(line["product_id"] for line in lines) == sorted(product for (product,) in kept)
    assert rows_of("SELECT count(*) FROM bags_bag WHERE state = 'OPEN'")[0][0] <= 1
    # A line that is set again in the same bag is one line; each bag's changes are all counted.
    counted = rows_of("SELECT sum(version - 1 - (state = 'ORDERED')::integer) FROM bags_bag")
    assert counted == [(len([one for one in world.history if one.method == "PUT"]),)]
    check(world, allowed={"200", "201", "bag_empty"})


def prices_change_while_orders_are_placed(world: World) -> None:
    """Every order has, line by line, prices that the product had, and a sum that is theirs."""
    products = world.products(3, stock=500)
    buyers = world.buyers(8)
    prices = [1999, *world.chance.sample(range(100, 1900), 12)]
    jobs: list[Any] = [partial(world.order, buyer, [(one, 2) for one in products]) for buyer in buyers * 4]
    for price in prices[1:]:
        body = {"price": {"amount": price, "currency": "EUR"}}
        jobs.append(partial(world.send, world.seller, "PATCH", f"/products/{world.chance.choice(products)}", body))
    world.at_once(jobs)
    for one in (heard.answer for heard in world.history if heard.status == 201):
        shown = [line["unit_price"]["amount"] for line in one["lines"]]
        assert set(shown) <= set(prices)
        assert one["total"]["amount"] == 2 * sum(shown)
    assert world.outcomes() == {"201": 32}
    check(world, allowed={"200", "201"})


def stock_is_corrected_and_a_product_deleted_while_held(world: World) -> None:
    """What is held stays held, whatever the seller does; what is counted never falls below it."""
    kept, deleted = world.products(2, stock=20)
    buyers = world.buyers(10)
    first = [world.order(buyer, [(kept, 1), (deleted, 1)]) for buyer in buyers]
    jobs: list[Any] = [partial(world.confirm, one.caller, one.answer["id"]) for one in first[:5]]
    jobs += [partial(world.order, buyer, [(kept, 1), (deleted, 1)]) for buyer in buyers]
    jobs += [partial(world.send, world.seller, "PATCH", f"/products/{kept}", {"stock": count}) for count in (5, 12, 40)]
    jobs.append(partial(world.send, world.seller, "DELETE", f"/products/{deleted}"))
    world.at_once(jobs)
    assert [world.cancel(one.caller, one.answer["id"]).status for one in first[5:]] == [200] * 5
    assert Counter(state for (state,) in rows_of("SELECT state FROM orders_order"))["CONFIRMED"] == 5
    allowed = {"200", "201", "204", "out_of_stock", "product_not_for_sale", "stock_below_reserved"}
    check(world, allowed=allowed)


def two_declined_payments_meet_one_captured(world: World) -> None:
    """The outcomes of three attempts are heard late, twice and at once: the order is paid once, and only once."""
    (product,) = world.products(1, stock=5)
    (buyer,) = world.buyers(1)
    order_id = world.order(buyer, [(product, 2)]).answer["id"]
    payments: list[UUID] = []
    for _ in range(2):
        world.confirm(buyer, order_id)
        payments.append(_last_payment(order_id))
        decline_payment(payment_id=payments[-1], code="card_declined")
        take_back_order(order_id=UUID(order_id), payment_id=payments[-1], code="card_declined")
    world.confirm(buyer, order_id)
    payments.append(_last_payment(order_id))
    _charge(payments[2])
    jobs: list[Any] = [partial(_hear_capture, order_id, payments[2]) for _ in range(4)]
    jobs += [partial(_hear_decline, order_id, payment) for payment in payments[:2] * 4]
    jobs += [partial(world.confirm, buyer, order_id) for _ in range(4)]
    world.at_once(jobs)
    give_back_due_refunds()
    assert rows_of("SELECT state FROM payments_payment ORDER BY attempt") == [
        ("DECLINED",),
        ("DECLINED",),
        ("CAPTURED",),
    ]
    assert rows_of("SELECT state FROM orders_order") == [("ACCEPTED",)]
    assert stock_of({"id": product}) == (3, 0)
    check(world, allowed={"200", "201", "illegal_transition"})


def _last_payment(order_id: str) -> UUID:
    ((payment_id,),) = rows_of(
        "SELECT id FROM payments_payment WHERE reference = %s ORDER BY attempt DESC LIMIT 1", order_id
    )
    return UUID(str(payment_id))


def _charge(payment_id: UUID) -> None:
    rows_of(
        "INSERT INTO payments_providercharge (key, charge_id, amount, currency, refunded)"
        " VALUES (%s, 'ch_1', 3998, 'EUR', false) RETURNING 1",
        payment_id,
    )


def _hear_capture(order_id: str, payment_id: UUID) -> None:
    capture_payment(payment_id=payment_id, charge_id="ch_1")
    accept_order(order_id=UUID(order_id), payment_id=payment_id)


def _hear_decline(order_id: str, payment_id: UUID) -> None:
    decline_payment(payment_id=payment_id, code="card_declined")
    take_back_order(order_id=UUID(order_id), payment_id=payment_id, code="card_declined")


SCENARIOS = (
    two_hundred_buyers_want_fifty_units,
    orders_of_many_lines_meet_cancels_expiries_restocks_and_deletions,
    stock_is_reserved_in_any_order_of_lines,
    confirm_cancel_expiry_and_a_rival_meet_at_the_deadline,
    a_lock_is_held_past_the_deadline_and_let_go_without_a_change,
    fifty_identical_requests_carry_one_key,
    a_bag_is_changed_while_it_is_ordered,
    prices_change_while_orders_are_placed,
    stock_is_corrected_and_a_product_deleted_while_held,
    two_declined_payments_meet_one_captured,
)
