"""What reaches a real receiver, which verifies it with the published library of Standard Webhooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db.models import F
from standardwebhooks import WebhookVerificationError

from souk.eventlog.operations import database_now
from souk.webhooks.gateway import Sent
from souk.webhooks.models import Delivery, Webhook
from souk.webhooks.operations import queue_deliveries, settle_delivery, take_due_deliveries
from tests.callers import SignedIn
from tests.hooks import deliveries_of, hook, make_due, send_all, sender
from tests.receivers import Receiver, running_receiver

pytestmark = pytest.mark.usefixtures("loopback_allowed")


def test_an_event_reaches_the_receiver_as_the_feed_tells_it_with_a_signature_that_verifies(
    seller: SignedIn, receiver: Receiver
) -> None:
    webhook = hook(seller, receiver)
    seller.offer()
    send_all()
    (event,) = receiver.verified(webhook["secret"])
    assert event == seller.get("/events", types="product.created").body["results"][0]
    headers, _ = receiver.taken[0]
    assert headers["webhook-id"] == event["id"]
    assert headers["Content-Type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        receiver.verified("whsec_" + "A" * 43 + "=")
    (delivery,) = deliveries_of(seller, webhook)
    assert {name: delivery[name] for name in ("event_id", "attempt", "status_code", "outcome", "next_attempt_at")} == {
        "event_id": event["id"],
        "attempt": 1,
        "status_code": 200,
        "outcome": "delivered",
        "next_attempt_at": None,
    }
    assert delivery["duration_ms"] >= 0
    send_all()
    assert len(receiver.taken) == 1


def test_a_webhook_hears_its_owners_events_of_its_types_alone(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn, receiver: Receiver
) -> None:
    webhook = hook(other_seller, receiver, types=["order.placed"])
    bowl, lamp = seller.offer(), other_seller.offer("Brass lamp", price=300)
    order = buyer.order((bowl, 2), (lamp, 3)).body
    buyer.order((bowl, 1))
    send_all()
    (event,) = receiver.verified(webhook["secret"])
    assert event["subject"] == {"type": "order", "id": order["id"]}
    assert event["data"]["lines"] == order["lines"][1:]
    assert event["data"]["total"] == {"amount": 900, "currency": "EUR"}


def test_after_a_rotation_both_secrets_verify_and_a_day_later_the_new_one_alone(
    seller: SignedIn, receiver: Receiver
) -> None:
    webhook = hook(seller, receiver)
    rotated = seller.post(f"/webhooks/{webhook['id']}/rotate")
    assert rotated.status == 200
    seller.offer()
    send_all()
    assert receiver.verified(webhook["secret"]) == receiver.verified(rotated.body["secret"])
    Webhook.objects.update(former_until=database_now())
    receiver.taken.clear()
    seller.offer()
    send_all()
    assert len(receiver.verified(rotated.body["secret"])) == 1
    with pytest.raises(WebhookVerificationError):
        receiver.verified(webhook["secret"])


def test_a_refused_event_is_sent_again_later_with_the_same_id_until_it_is_taken(
    seller: SignedIn, receiver: Receiver
) -> None:
    webhook = hook(seller, receiver)
    receiver.answers = [500, 302]
    seller.offer()
    send_all()
    (delivery,) = deliveries_of(seller, webhook)
    assert (delivery["attempt"], delivery["status_code"], delivery["outcome"]) == (1, 500, "pending")
    pause = datetime.fromisoformat(delivery["next_attempt_at"]) - datetime.fromisoformat(delivery["created"])
    assert timedelta(seconds=4) <= pause
    send_all()
    assert len(receiver.taken) == 1
    make_due()
    send_all()
    (delivery,) = deliveries_of(seller, webhook)
    assert (delivery["attempt"], delivery["status_code"], delivery["error"]) == (2, 302, "Redirects are not followed.")
    assert Webhook.objects.get().failing_since is not None
    make_due()
    send_all()
    (delivery,) = deliveries_of(seller, webhook)
    assert (delivery["attempt"], delivery["status_code"], delivery["outcome"]) == (3, 200, "delivered")
    assert Webhook.objects.get().failing_since is None
    assert len({headers["webhook-id"] for headers, _ in receiver.taken}) == 1
    assert len(receiver.verified(webhook["secret"])) == 3


def test_a_receiver_that_never_answers_is_tried_eleven_times_over_three_days_and_then_switched_off(
    seller: SignedIn, receiver: Receiver
) -> None:
    webhook = hook(seller, receiver)
    receiver.answers = [500] * 20
    seller.offer()
    send_all()
    waited, pauses = timedelta(), []
    while Webhook.objects.get().state == "ENABLED":
        due = Delivery.objects.get().next_attempt_at
        assert due is not None
        pause = due - database_now()
        pauses.append(pause)
        # The pause is over: everything that was before it is so much older.
        waited += pause
        Webhook.objects.update(failing_since=F("failing_since") - pause)
        make_due()
        send_all()
    assert len(receiver.taken) == len(pauses) + 1 == 11
    assert timedelta(hours=71, minutes=59) < waited < timedelta(hours=72 * 1.2 + 1)
    planned = [5, 60, 300, 1800, 7200, 18000, 36000, 50400, 61200]
    for pause, seconds in zip(pauses, planned, strict=False):
        assert 0.8 * seconds - 2 < pause.total_seconds() < 1.2 * seconds
    seen = seller.get(f"/webhooks/{webhook['id']}").body
    assert (seen["state"], seen["disabled_reason"]) == ("DISABLED", "failing")
    (event,) = seller.get("/events", types="webhook.disabled").body["results"]
    assert event["data"] == {"reason": "failing", "url": receiver.url}
    (shown,) = deliveries_of(seller, webhook)
    assert (shown["attempt"], shown["outcome"], shown["status_code"]) == (11, "failed", 500)
    assert shown["duration_ms"] >= 0


def test_a_secret_sealed_with_a_former_key_still_signs(
    seller: SignedIn, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = hook(seller, receiver)
    monkeypatch.setattr(settings, "SECRET_KEY_FALLBACKS", [settings.SECRET_KEY])
    monkeypatch.setattr(settings, "SECRET_KEY", "another one")
    seller.offer()
    send_all()
    assert len(receiver.verified(webhook["secret"])) == 1


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_puts_the_next_try_off(seller: SignedIn, receiver: Receiver, as_date: bool) -> None:
    webhook = hook(seller, receiver)
    later = datetime.now(UTC) + timedelta(hours=2)
    receiver.headers = {"Retry-After": later.strftime("%a, %d %b %Y %H:%M:%S GMT") if as_date else "7200"}
    receiver.answers = [503]
    seller.offer()
    send_all()
    (delivery,) = deliveries_of(seller, webhook)
    assert datetime.fromisoformat(delivery["next_attempt_at"]) > database_now() + timedelta(hours=1, minutes=59)


def test_a_receiver_that_is_gone_is_switched_off_at_once_and_its_owner_is_told(
    seller: SignedIn, receiver: Receiver
) -> None:
    webhook = hook(seller, receiver)
    receiver.answers = [410]
    seller.offer()
    send_all()
    seen = seller.get(f"/webhooks/{webhook['id']}").body
    assert (seen["state"], seen["disabled_reason"]) == ("DISABLED", "gone")
    (event,) = seller.get("/events", types="webhook.disabled").body["results"]
    assert event["subject"] == {"type": "webhook", "id": webhook["id"]}
    assert event["data"] == {"reason": "gone", "url": receiver.url}
    (delivery,) = deliveries_of(seller, webhook)
    assert (delivery["status_code"], delivery["outcome"], delivery["next_attempt_at"]) == (410, "failed", None)
    seller.offer()
    send_all()
    assert len(receiver.taken) == 1


def test_three_days_of_failure_switch_a_webhook_off_and_its_owner_can_switch_it_on_again(
    seller: SignedIn, receiver: Receiver
) -> None:
    webhook = hook(seller, receiver)
    receiver.answers = [500, 500]
    seller.offer()
    send_all()
    Webhook.objects.update(failing_since=database_now() - timedelta(days=3))
    seller.offer("Waits")
    make_due()
    send_all()
    seen = seller.get(f"/webhooks/{webhook['id']}").body
    assert (seen["state"], seen["disabled_reason"]) == ("DISABLED", "failing")
    assert {one["outcome"] for one in deliveries_of(seller, webhook)} == {"failed"}
    assert seller.post(f"/webhooks/{webhook['id']}/test").code == "illegal_transition"
    on = seller.patch(f"/webhooks/{webhook['id']}", {"state": "ENABLED"})
    assert (on.body["state"], on.body["disabled_reason"]) == ("ENABLED", None)
    receiver.taken.clear()
    bowl = seller.offer("Comes")
    send_all()
    assert [event["subject"]["id"] for event in receiver.verified(webhook["secret"])] == [bowl["id"]]


def test_a_slow_receiver_does_not_hold_the_others_back(seller: SignedIn, buyer: SignedIn, receiver: Receiver) -> None:
    with running_receiver() as slow:
        slow.held.clear()
        stuck = hook(buyer, slow)
        quick = hook(seller, receiver)
        bowl = seller.offer(stock=50)
        for _ in range(12):
            assert buyer.order((bowl, 1)).status == 201
        for _ in range(20):
            sender.work()
            if len(receiver.taken) == 13:
                break
        assert {one["outcome"] for one in deliveries_of(seller, quick)} == {"delivered"}
        # At most eight at a time for one webhook, and none of them has come to an end.
        assert len(slow.taken) == 8
        assert {one["outcome"] for one in deliveries_of(buyer, stuck)} == {"pending"}
        slow.held.set()
        send_all()
        assert [one["outcome"] for one in deliveries_of(buyer, stuck)] == ["delivered"] * 12


def test_a_test_is_sent_though_nothing_happened(seller: SignedIn, receiver: Receiver) -> None:
    webhook = hook(seller, receiver, types=["order.placed"])
    asked = seller.post(f"/webhooks/{webhook['id']}/test")
    assert (asked.status, asked.body["outcome"], asked.body["attempt"]) == (202, "pending", 0)
    send_all()
    (event,) = receiver.verified(webhook["secret"])
    assert (event["id"], event["type"]) == (asked.body["event_id"], "webhook.test")
    assert event["subject"] == {"type": "webhook", "id": webhook["id"]}
    assert seller.get("/events", types="webhook.disabled").body["results"] == []


def test_a_delivery_whose_sender_died_is_begun_again_when_its_minute_is_over(
    seller: SignedIn, receiver: Receiver
) -> None:
    webhook = hook(seller, receiver)
    seller.offer()
    queue_deliveries()
    (taken,) = take_due_deliveries(room=10, busy={})
    assert take_due_deliveries(room=10, busy={}) == []
    make_due()
    send_all()
    assert [one["attempt"] for one in deliveries_of(seller, webhook)] == [taken.attempt + 1]
    assert len(receiver.verified(webhook["secret"])) == 1


@pytest.mark.parametrize("status", [410, 500])
def test_what_a_former_address_says_is_no_word_about_the_present_one(
    seller: SignedIn, receiver: Receiver, status: int
) -> None:
    with running_receiver() as former:
        webhook = hook(seller, former)
        seller.offer()
        queue_deliveries()
        (under_way,) = take_due_deliveries(room=10, busy={})
        assert seller.patch(f"/webhooks/{webhook['id']}", {"url": receiver.url}).status == 200
        assert settle_delivery(under_way, Sent(status_code=status, duration_ms=1, error="Late.")) == "pending"
    assert seller.get(f"/webhooks/{webhook['id']}").body["state"] == "ENABLED"
    assert Webhook.objects.get().failing_since is None
    send_all()
    assert len(receiver.verified(webhook["secret"])) == 1


def test_the_cookies_of_one_receiver_are_not_told_to_another(seller: SignedIn, receiver: Receiver) -> None:
    hook(seller, receiver)
    with running_receiver() as other:
        other.headers = {"Set-Cookie": "of=another; Max-Age=3600; Path=/"}
        hook(seller, other)
        for _ in range(2):
            seller.offer()
            send_all()
        assert [len(receiver.taken), len(other.taken)] == [2, 2]
        assert not any("cookie" in {name.lower() for name in headers} for headers, _ in receiver.taken + other.taken)


def test_a_moment_to_come_back_that_no_calendar_has_is_not_heard(seller: SignedIn, receiver: Receiver) -> None:
    webhook = hook(seller, receiver)
    receiver.headers = {"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}
    seller.offer()
    send_all()
    (delivery,) = deliveries_of(seller, webhook)
    assert (delivery["status_code"], delivery["outcome"]) == (200, "delivered")


def test_a_secret_that_cannot_be_read_any_more_is_told_in_the_delivery(seller: SignedIn, receiver: Receiver) -> None:
    webhook = hook(seller, receiver)
    seller.offer()
    before = settings.SECRET_KEY
    settings.SECRET_KEY = "another one"
    try:
        send_all()
    finally:
        settings.SECRET_KEY = before
    (delivery,) = deliveries_of(seller, webhook)
    assert (delivery["outcome"], delivery["error"]) == ("pending", "Its secret cannot be read any more: rotate it.")
    assert receiver.taken == []


def test_the_metrics_say_how_far_the_sending_is(seller: SignedIn, receiver: Receiver) -> None:
    hook(seller, receiver)
    receiver.answers = [410]
    seller.offer()
    seller.get("/events")
    assert metric(seller, "souk_webhook_behind_seconds") > 0
    send_all()
    assert metric(seller, "souk_webhook_behind_seconds") == 0
    outcomes = {
        name: metric(seller, f'souk_webhook_deliveries{{outcome="{name}"}}') for name in ("failed", "delivered")
    }
    assert outcomes == {"failed": 1, "delivered": 0}


def metric(caller: SignedIn, name: str) -> float:
    lines = str(caller.get("//metrics").body).splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")))
