"""`souk_order_transitions_total`: every change of an order's state is counted once it is committed, and no other."""

from __future__ import annotations

from collections import Counter

from django.db import transaction
from prometheus_client.parser import text_string_to_metric_families

from souk.orders.operations import expire_due_orders
from tests.books import let_deadline_pass
from tests.callers import Api, SignedIn
from tests.paying import ask_provider, confirm, hear_outcome, pay


def transitions() -> Counter[str]:
    families = text_string_to_metric_families(Api().send("GET", "//metrics").body)
    samples = [sample for family in families for sample in family.samples]
    return Counter(
        {
            sample.labels["event"]: int(sample.value)
            for sample in samples
            if sample.name == "souk_order_transitions_total"
        }
    )


def test_every_change_of_a_state_is_counted_by_its_event(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", stock=20)
    before = transitions()
    orders = [buyer.order((mug, 1)).body["id"] for _ in range(6)]
    pay(buyer, orders[0])
    pay(buyer, orders[1], "tok_declined")
    buyer.post(f"/orders/{orders[2]}/cancel")
    for order_id in orders[3:5]:
        let_deadline_pass(order_id)
    assert expire_due_orders() == 2
    assert confirm(buyer, orders[5], "tok_declined").status == 200
    ask_provider(orders[5])
    let_deadline_pass(orders[5])
    hear_outcome(orders[5])
    counted = transitions()
    counted.subtract(before)
    assert {event: number for event, number in counted.items() if number} == {
        "place": 6,
        "confirm": 3,
        "accept": 1,
        "take_back": 1,
        "cancel": 1,
        "expire": 2,
        "decline": 1,
    }


def test_what_is_refused_heard_again_or_rolled_back_is_not_counted(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", stock=3)
    order_id = buyer.order((mug, 2)).body["id"]
    pay(buyer, order_id)
    other = buyer.order((mug, 1)).body["id"]
    let_deadline_pass(other)
    before = transitions()
    assert buyer.order((mug, 2)).status == 409
    assert confirm(buyer, other).status == 409
    assert buyer.post(f"/orders/{order_id}/cancel").status == 409
    hear_outcome(order_id)
    with transaction.atomic():
        assert expire_due_orders() == 1
        transaction.set_rollback(True)
    assert transitions() == before
    expire_due_orders()
