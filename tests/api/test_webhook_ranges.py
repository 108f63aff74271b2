"""From where on a webhook hears, what a replay sends again, and for how long it all is kept."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.db import transaction

from souk.accounts.models import User
from souk.eventlog.models import Event
from souk.eventlog.operations import database_now
from souk.kit.entity import new_id
from souk.webhooks.gateway import Sent
from souk.webhooks.models import Delivery
from souk.webhooks.operations import purge_deliveries, queue_deliveries, settle_delivery, take_due_deliveries
from tests.callers import SignedIn
from tests.hearers import at_once, forget_samples, tell
from tests.hooks import deliveries_of, hook, make_due, send_all
from tests.receivers import Receiver

pytestmark = pytest.mark.usefixtures("loopback_allowed")


def test_a_replay_sends_the_events_of_a_range_again(seller: SignedIn, receiver: Receiver) -> None:
    before = seller.offer("Before the webhook")
    seller.get("/events")
    webhook = hook(seller, receiver, types=["product.created"])
    start = database_now() - timedelta(hours=1)
    seller.offer("With it")
    send_all()
    end = database_now()
    seller.offer("Too late")
    send_all()
    asked = seller.post(f"/webhooks/{webhook['id']}/replay", {"from": start.isoformat(), "to": end.isoformat()})
    assert (asked.status, asked.body) == (202, {"queued": 2})
    receiver.taken.clear()
    send_all()
    told = receiver.verified(webhook["secret"])
    assert sorted(event["data"]["title"] for event in told) == ["Before the webhook", "With it"]
    assert before["id"] in {event["subject"]["id"] for event in told}
    assert [one["outcome"] for one in deliveries_of(seller, webhook)] == ["delivered"] * 3


def test_what_happens_while_a_webhook_is_switched_on_is_either_sent_or_replayed(
    seller: SignedIn, receiver: Receiver
) -> None:
    webhook = hook(seller, receiver, types=["product.created"])
    start = database_now()
    seller.patch(f"/webhooks/{webhook['id']}", {"state": "DISABLED"})
    seller.offer("Without a position when it is switched on")
    seller.patch(f"/webhooks/{webhook['id']}", {"state": "ENABLED"})
    end = database_now()
    seller.post(f"/webhooks/{webhook['id']}/replay", {"from": start.isoformat(), "to": end.isoformat()})
    send_all()
    told = receiver.verified(webhook["secret"])
    assert [event["data"]["title"] for event in told] == ["Without a position when it is switched on"]


def test_a_try_from_before_a_replay_says_nothing_about_the_tries_after_it(seller: SignedIn, receiver: Receiver) -> None:
    webhook = hook(seller, receiver, types=["product.created"])
    start = database_now()
    seller.offer()
    queue_deliveries()
    (before,) = take_due_deliveries(room=10, busy={})
    for state in ("DISABLED", "ENABLED"):
        seller.patch(f"/webhooks/{webhook['id']}", {"state": state})
    span = {"from": start.isoformat(), "to": database_now().isoformat()}
    assert seller.post(f"/webhooks/{webhook['id']}/replay", span).body == {"queued": 1}
    (again,) = take_due_deliveries(room=10, busy={})
    assert (again.delivery_id, again.attempt) == (before.delivery_id, before.attempt)
    settle_delivery(before, Sent(status_code=200, duration_ms=1, error=None))
    assert [one["outcome"] for one in deliveries_of(seller, webhook)] == ["pending"]
    settle_delivery(again, Sent(status_code=204, duration_ms=1, error=None))
    assert [(one["outcome"], one["status_code"]) for one in deliveries_of(seller, webhook)] == [("delivered", 204)]


def test_a_webhook_hears_what_is_committed_after_it_though_it_was_written_before(
    seller: SignedIn, receiver: Receiver
) -> None:
    sample, written, registered = new_id(), threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            event = tell(sample, 1)
            Event.objects.filter(id=event.id).update(audience=[seller.id])
            written.set()
            assert registered.wait(20)

    def register_meanwhile() -> None:
        assert written.wait(20)
        hook(seller, receiver)
        registered.set()

    try:
        at_once([write_slowly, register_meanwhile])
        send_all()
        assert [json.loads(body)["subject"]["id"] for _, body in receiver.taken] == [str(sample)]
    finally:
        forget_samples()


def test_a_new_webhook_is_not_told_of_what_happened_before_it(seller: SignedIn, receiver: Receiver) -> None:
    seller.offer("Before it, and without a position yet")
    webhook = hook(seller, receiver)
    seller.offer("After it")
    send_all()
    assert [event["data"]["title"] for event in receiver.verified(webhook["secret"])] == ["After it"]


def test_old_deliveries_are_purged(seller: SignedIn, receiver: Receiver) -> None:
    webhook = hook(seller, receiver)
    seller.offer()
    send_all()
    (kept,) = deliveries_of(seller, webhook)
    old = f"{int((datetime.now(UTC) - timedelta(days=31)).timestamp() * 1000):012x}70008000000000000000"[:32]
    Delivery.objects.create(id=old, webhook_id=webhook["id"], event_id=uuid4(), outcome="failed")
    assert purge_deliveries(before=database_now() - timedelta(days=30)) == 1
    assert deliveries_of(seller, webhook) == [kept]


def test_a_delivery_that_is_still_tried_is_not_purged_and_one_that_nobody_tries_any_more_is(
    seller: SignedIn, receiver: Receiver
) -> None:
    hook(seller, receiver)
    receiver.answers[:] = [500]
    seller.offer()
    send_all()
    later = database_now() + timedelta(seconds=1)
    assert purge_deliveries(before=later) == 0
    make_due()
    send_all()
    assert Delivery.objects.get().outcome == "delivered"
    Delivery.objects.update(outcome="pending", next_attempt_at=later - timedelta(days=90))
    assert purge_deliveries(before=later) == 0
    User.objects.filter(pk=seller.id).update(is_active=False)
    assert purge_deliveries(before=later) == 1
