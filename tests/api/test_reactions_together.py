"""Many subjects heard at once come to the same as one after the other, whatever fails among them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from souk.eventlog.models import Event, Transition
from souk.kit.entity import new_id
from souk.orders.operations import accept_orders
from souk.payments.models import Payment
from souk.reactions.consumers import CONSUMERS
from souk.reactions.hearing import LOCKS, Subject
from souk.reactions.reaction import Answered, Consumer, Errand
from souk.reactions.reaction import Event as HeardEvent
from souk.reactions.together import hear_together, heard_before
from tests.callers import SignedIn
from tests.hearers import (
    at_once,
    forget_samples,
    hear,
    heard_of,
    joint_consumer,
    let_tries_be_due,
    letters,
    mend,
    processed,
    tell,
    tries,
)

PAYMENTS, ORDERS = CONSUMERS


@pytest.fixture(autouse=True)
def samples(clean_database: None) -> Iterator[None]:
    yield
    forget_samples()


def subjects_of(ids: Sequence[UUID]) -> list[Subject]:
    return [Subject("sample", subject_id) for subject_id in ids]


def hear_all(consumer: Consumer, ids: Sequence[UUID]) -> None:
    hear_together(consumer, subjects_of(ids))


def test_the_first_event_of_each_subject_is_heard_in_one_go() -> None:
    ids = [new_id() for _ in range(5)]
    told = [tell(subject_id, 1) for subject_id in ids]
    later = tell(ids[0], 2)
    consumer = joint_consumer()
    heard = hear_together(consumer, subjects_of(ids))
    assert heard.ended == processed() == {event.id for event in told}
    assert heard.unfinished == {Subject("sample", ids[0])}
    assert set(Transition.objects.filter(subject_id__in=ids).values_list("event", flat=True)) == {"one of 5"}
    assert heard_before(consumer, [told[0].id, later.id]) == {told[0].id}
    assert hear_together(consumer, subjects_of(ids)).ended == {later.id}
    assert hear_together(consumer, subjects_of(ids)).ended == set()
    assert heard_of(ids[0]) == [1, 2]


def test_one_event_that_fails_undoes_all_and_is_found_when_each_is_heard_alone() -> None:
    ids = [new_id() for _ in range(4)]
    told = [tell(subject_id, 1, fails=subject_id == ids[2]) for subject_id in ids]
    consumer = joint_consumer()
    assert hear_together(consumer, subjects_of(ids)).ended == set()
    assert (processed(), tries()) == (set(), {})
    assert [heard_of(subject_id) for subject_id in ids] == [[], [], [], []]
    for subject_id in ids:
        hear(consumer, subject_id)
    assert processed() == {told[0].id, told[1].id, told[3].id}
    assert tries() == {told[2].id: 1}
    # It waits for its next try, and is not heard together with others before.
    mend(told)
    assert hear_together(consumer, subjects_of(ids)).ended == set()
    let_tries_be_due()
    hear(consumer, ids[2], again=True)
    assert (heard_of(ids[2]), tries(), letters()) == ([1], {}, [])


def test_a_subject_that_somebody_else_is_at_is_left_to_them() -> None:
    free, taken = new_id(), new_id()
    told = {subject_id: tell(subject_id, 1) for subject_id in (free, taken)}
    consumer = joint_consumer()

    def hold_and_hear() -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCKS + consumer.number, str(taken)])
            at_once([partial(hear_all, consumer, [free, taken])])

    hold_and_hear()
    assert processed() == {told[free].id}
    assert hear_together(consumer, subjects_of([free, taken])).ended == {told[taken].id}


@pytest.mark.parametrize("seed", range(3))
def test_four_hands_hear_every_event_once_and_in_the_order_of_its_subject(seed: int) -> None:
    ids = [new_id() for _ in range(12)]
    for sequence in range(1, 6):
        for subject_id in ids:
            tell(subject_id, sequence)
    chance = random.Random(seed)  # noqa: S311  # for a test

    def hand(own: random.Random) -> None:
        consumer = joint_consumer()
        while Event.objects.filter(subject_type="sample").count() > len(processed()):
            hear_together(consumer, subjects_of(own.sample(ids, 6)))

    at_once([partial(hand, random.Random(chance.random())) for _ in range(4)])  # noqa: S311  # for a test
    assert {subject_id: heard_of(subject_id) for subject_id in ids} == {
        subject_id: [1, 2, 3, 4, 5] for subject_id in ids
    }
    assert (len(processed()), tries()) == (60, {})


def errand_consumer(ask: Any, settled: list[str]) -> Consumer:
    consumer = Consumer(name="errands", number=96)

    def take(events: Sequence[HeardEvent]) -> Mapping[UUID, str | None]:
        words = {event.id: str(event.data["word"]) for event in events}
        return {key: None if word == "over" else word for key, word in words.items() if word != "busy"}

    def settle(answers: Sequence[Answered[str, str]]) -> None:
        if any(one.answer == "unsettled" for one in answers):
            raise ValueError("this one cannot be written down")
        settled.extend(one.answer for one in answers)

    consumer.run_errand("sample.told", errand=Errand(take=take, ask=ask, settle=settle))
    return consumer


def test_questions_that_fail_are_counted_each_for_itself() -> None:
    words = ("good", "bad", "over", "busy", "unsettled", "fine")
    told = {word: tell(new_id(), 1, word=word) for word in words}
    settled: list[str] = []

    def ask(word: str) -> str:
        if word == "bad":
            raise ValueError("no answer to this")
        return word

    consumer = errand_consumer(ask, settled)
    heard = hear_together(consumer, subjects_of([event.subject_id for event in told.values()]))
    assert heard.ended == processed() == {told[word].id for word in ("good", "over", "fine")}
    assert tries() == {told[word].id: 1 for word in ("bad", "unsettled")}
    assert set(settled) == {"good", "fine"}


def test_a_slow_answer_holds_no_other_one_back() -> None:
    quick, slow = tell(new_id(), 1, word="quick"), tell(new_id(), 1, word="slow")
    asked, go_on = threading.Event(), threading.Event()

    def ask(word: str) -> str:
        if word == "slow":
            asked.set()
            assert go_on.wait(60)
        return word

    consumer = errand_consumer(ask, [])
    hand = threading.Thread(
        target=at_once,
        args=[[partial(hear_all, consumer, [quick.subject_id, slow.subject_id])]],
    )
    hand.start()
    assert asked.wait(60)
    while processed() != {quick.id}:
        assert hand.is_alive()
    go_on.set()
    hand.join(60)
    assert processed() == {quick.id, slow.id}


def test_payments_and_orders_heard_together_tell_what_they_tell_alone(seller: SignedIn, buyer: SignedIn) -> None:
    product = seller.offer(stock=10)
    orders = [buyer.order((product, 1)).body["id"] for _ in range(4)]
    traces = {}
    for number, order_id in enumerate(orders):
        traces[UUID(order_id)] = f"00-0af7651916cd43dd8448eb211c8031{number:02}-b7ad6b7169203331-01"
        buyer.post(
            f"/orders/{order_id}/confirm",
            {"payment": {"method": "card", "token": "tok_declined" if number == 3 else "tok_ok"}},
            headers={"traceparent": traces[UUID(order_id)]},
        )
    payments = list(Payment.objects.order_by("id"))
    heard = hear_together(PAYMENTS, [Subject("payment", payment.pk) for payment in payments])
    assert len(heard.ended) == 4
    alone, *together = payments[:3]
    hear_payment = Subject("payment", alone.pk)
    assert len(hear_together(ORDERS, [hear_payment]).ended) == 1
    assert len(hear_together(ORDERS, [Subject("payment", payment.pk) for payment in together]).ended) == 2
    states = [buyer.get(f"/orders/{order_id}").body["state"] for order_id in orders]
    assert states == ["ACCEPTED", "ACCEPTED", "ACCEPTED", "CONFIRMED"]
    for payment in payments[:3]:
        captured = Event.objects.get(type="payment.captured", subject_id=payment.pk)
        assert captured.data == {
            "reference": str(payment.reference), "attempt": 1, "amount": payment.amount, "currency": "EUR",
            "charge_id": captured.data["charge_id"],
        }  # fmt: skip
        accepted = Event.objects.get(type="order.accepted", subject_id=payment.reference)
        assert accepted.data == {"state": "ACCEPTED"}
        for event in (captured, accepted):
            parts = str(event.traceparent).split("-")
            assert parts[1] == traces[payment.reference].split("-")[1]
        assert Payment.objects.get(pk=payment.pk).charge_id == captured.data["charge_id"]


def test_an_order_that_no_longer_waits_gives_the_money_back_and_the_others_are_accepted(
    seller: SignedIn, buyer: SignedIn
) -> None:
    product = seller.offer(stock=10)
    orders = [UUID(buyer.order((product, 1)).body["id"]) for _ in range(3)]
    for order_id in orders:
        buyer.post(f"/orders/{order_id}/confirm", {"payment": {"method": "card", "token": "tok_ok"}})
    payments = {payment.reference: payment.pk for payment in Payment.objects.all()}
    hear_together(PAYMENTS, [Subject("payment", key) for key in payments.values()])
    accept_orders(paid=[(orders[0], payments[orders[0]])], traceparents={})
    # One is accepted already, one was paid by another payment than the captured one, one waits.
    pairs = [(orders[0], payments[orders[0]]), (orders[1], payments[orders[2]]), (orders[2], payments[orders[2]])]
    accept_orders(paid=pairs, traceparents={})
    states = [buyer.get(f"/orders/{order_id}").body["state"] for order_id in orders]
    assert states == ["ACCEPTED", "CONFIRMED", "ACCEPTED"]
    assert Payment.objects.get(pk=payments[orders[2]]).refund_due_at is not None
    assert Payment.objects.get(pk=payments[orders[0]]).refund_due_at is None
