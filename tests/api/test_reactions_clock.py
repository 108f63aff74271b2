"""What the clock does, and that no duty holds up another."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from souk.eventlog.models import Event
from souk.kit.models import IdempotentAnswer
from souk.payments.models import Payment
from souk.reactions.clock import DUTIES, PURGED_AT_ONCE, expire_overdue_orders, purge_old_answers, until_next_deadline
from souk.reactions.loop import run_threads
from tests.books import events_of, let_deadline_pass, run, stock_of, value_of
from tests.callers import SignedIn
from tests.hearers import at_once
from tests.streams import wait_until


class Breaks(Exception):
    """What a duty of these tests raises."""


def run_beside(works: dict[str, Callable[[], float]], reached: Callable[[], bool]) -> None:
    """Run these works in threads until it is so."""
    stop = threading.Event()
    thread = threading.Thread(target=run_threads, args=[works], kwargs={"stop": stop})
    thread.start()
    try:
        wait_until(reached)
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def test_overdue_orders_are_closed_and_their_stock_is_back(seller: SignedIn, buyer: SignedIn) -> None:
    product = seller.offer(stock=10)
    late, timely = (buyer.order((product, quantity)).body["id"] for quantity in (2, 3))
    let_deadline_pass(late)
    assert until_next_deadline() < 0
    expire_overdue_orders()
    closed = buyer.get(f"/orders/{late}").body
    assert (closed["state"], closed["reason"]) == ("NOT_CONFIRMED", "expired")
    assert events_of(late) == ["order.placed", "order.not_confirmed"]
    assert buyer.get(f"/orders/{timely}").body["state"] == "PENDING_CONFIRMATION"
    assert stock_of(product) == (10, 3)
    assert 0 < until_next_deadline() <= 300


def test_more_overdue_orders_than_go_at_once_are_all_closed_by_two_clocks(seller: SignedIn, buyer: SignedIn) -> None:
    product = seller.offer(stock=200)
    orders = [buyer.order((product, 1)).body["id"] for _ in range(50)]
    buyer_too = SignedIn.register("buyer-too")
    orders += [buyer_too.order((product, 1)).body["id"] for _ in range(10)]
    for order_id in orders:
        let_deadline_pass(order_id)
    at_once([expire_overdue_orders] * 2)
    assert [events_of(order_id) for order_id in orders] == [["order.placed", "order.not_confirmed"]] * 60
    assert stock_of(product) == (200, 0)


def test_without_a_pending_order_the_next_deadline_is_a_minute_away(clean_database: None) -> None:
    assert until_next_deadline() == 60.0


def test_a_failing_duty_is_begun_again_and_stops_no_other(clean_database: None) -> None:
    done: list[str] = []

    def breaks() -> float:
        done.append("broken")
        raise Breaks

    def works() -> float:
        done.append("done")
        return 0.01

    run_beside({"breaks": breaks, "works": works}, lambda: done.count("broken") >= 2 and done.count("done") >= 5)


# The thread is meant to end.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_ends_the_process(clean_database: None) -> None:
    def leaves() -> float:
        raise SystemExit  # which a thread does not tell anybody

    with pytest.raises(RuntimeError, match="ended by themselves: leaves"):
        run_threads({"leaves": leaves}, stop=threading.Event())


def test_the_duties_together_pay_number_and_expire(seller: SignedIn, buyer: SignedIn) -> None:
    product = seller.offer(stock=10)
    late, lost = (buyer.order((product, 1)).body["id"] for _ in range(2))
    assert buyer.post(f"/orders/{lost}/confirm", {"payment": {"method": "card", "token": "tok_ok"}}).status == 200
    # Somebody leased the payment and died: the clock alone brings it to its end, but for the order, which hears of it
    # from the streams, or half a minute later from the reconciler.
    run("UPDATE payments_payment SET lease_until = clock_timestamp() - interval '1 second', tries = 1")
    let_deadline_pass(late)
    run_beside(
        {duty.name: duty.do for duty in DUTIES},
        lambda: (
            buyer.get(f"/orders/{late}").body["state"] == "NOT_CONFIRMED"
            and Payment.objects.get().state == "CAPTURED"
            and not Event.objects.filter(position=None).exists()
        ),
    )
    assert Payment.objects.get().tries == 2


def test_answers_are_kept_for_two_days(seller: SignedIn) -> None:
    for key in ("old", "young"):
        body = {"title": key, "price": {"amount": 1, "currency": "EUR"}, "stock": 1}
        assert seller.post("/products", body, headers={"Idempotency-Key": key}).status == 201
    run("UPDATE kit_idempotentanswer SET created = now() - interval '49 hours' WHERE key = 'old'")
    run("UPDATE kit_idempotentanswer SET created = now() - interval '47 hours' WHERE key = 'young'")
    purge_old_answers()
    assert list(IdempotentAnswer.objects.values_list("key", flat=True)) == ["young"]


def test_more_old_answers_than_go_at_once_are_all_purged(clean_database: None) -> None:
    run(
        "INSERT INTO kit_idempotentanswer (user_id, key, fingerprint, status, headers, body, created)"
        " SELECT uuidv7(), n::text, '', 200, '{}', '', now() - interval '3 days' FROM generate_series(1, %s) n",
        2 * PURGED_AT_ONCE + 1,
    )
    at_once([purge_old_answers] * 2)
    purge_old_answers()
    assert value_of("SELECT count(*) FROM kit_idempotentanswer") == 0
