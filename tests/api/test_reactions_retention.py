"""Events are kept for a time. Then the oldest go, and what hangs on them; nothing that somebody has still to hear."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from souk.eventlog import retention
from souk.eventlog.feed import cursor_of
from souk.eventlog.models import Audience, Event
from souk.eventlog.operations import database_now, number_events
from souk.reactions.consumers import CONSUMERS
from souk.reactions.models import Processed, Progress
from souk.reactions.payments import PAYMENTS
from souk.reactions.progress import all_heard_before, note_progress
from souk.reactions.reconciler import reconcile
from souk.reactions.retention import purge_what_is_old
from souk.webhooks.models import Delivery
from souk.webhooks.models import Progress as LookedThrough
from souk.webhooks.operations import queue_deliveries
from tests.callers import SignedIn

AT_ONCE = timedelta(seconds=-1)


def age_everything(days: int) -> None:
    """Let everything of the log have happened so many days ago: its ids are clocks too."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE eventlog_event SET created = created - make_interval(days => %s)", [days])
        aged = "(lpad(to_hex((('x' || left(replace({0}::text, '-', ''), 12))::bit(48)::bigint - %s::bigint)), 12, '0')"
        aged += " || right(replace({0}::text, '-', ''), 20))::uuid"
        milliseconds = days * 24 * 3600 * 1000
        for table, column in (
            ("eventlog_event", "id"),
            ("eventlog_audience", "event_id"),
            ("reactions_processed", "event_id"),
            ("webhooks_delivery", "event_id"),
        ):
            update = f"UPDATE {table} SET {column} = {aged.format(column)}"  # noqa: S608  # our own tables
            cursor.execute(update, [milliseconds])


def pay(buyer: SignedIn, order: str) -> None:
    paid = {"payment": {"method": "card", "token": "tok_ok"}}
    assert buyer.post(f"/orders/{order}/confirm", paid).status == 200


def hear_everything() -> None:
    while reconcile(CONSUMERS, age=AT_ONCE):
        pass
    while number_events():
        pass


def positions() -> list[int]:
    found = Event.objects.exclude(position=None).order_by("position").values_list("position", flat=True)
    return [position for position in found if position is not None]


def test_old_events_go_with_their_audience_and_their_notes_and_young_ones_stay(
    seller: SignedIn, buyer: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In several steps.
    monkeypatch.setattr(retention, "PURGED_AT_ONCE", 2)
    mug = seller.offer("Mug", stock=5)
    order = buyer.order((mug, 1)).body["id"]
    pay(buyer, order)
    hear_everything()
    age_everything(31)
    old = positions()
    assert Processed.objects.count() == 2
    lamp = seller.offer("Lamp")
    hear_everything()
    note_progress(CONSUMERS)
    assert purge_what_is_old() == len(old)
    (kept,) = Event.objects.all()
    assert (str(kept.subject_id), positions()) == (lamp["id"], [len(old) + 1])
    assert list(Audience.objects.values_list("position", flat=True)) == [kept.position]
    assert Processed.objects.count() == 0
    assert purge_what_is_old() == 0
    refused = seller.get("/events", after=cursor_of(0))
    assert (refused.status, refused.code) == (410, "events_expired")
    assert [e["id"] for e in seller.get("/events").body["results"]] == [str(kept.pk)]
    assert reconcile(CONSUMERS, age=AT_ONCE) == 0


def test_an_old_event_that_somebody_has_still_to_hear_is_kept_and_all_behind_it(
    seller: SignedIn, buyer: SignedIn
) -> None:
    mug = seller.offer("Mug", stock=5)
    pay(buyer, buyer.order((mug, 1)).body["id"])
    while number_events():
        pass
    age_everything(31)
    assert purge_what_is_old() == 0  # nobody knows yet what was heard
    note_progress(CONSUMERS)
    waiting = Event.objects.get(type="payment.requested")
    purge_what_is_old()
    assert positions()[0] == waiting.position
    assert Event.objects.filter(type="order.placed").count() == 0


def test_what_was_not_looked_at_for_webhooks_is_kept(seller: SignedIn) -> None:
    hook = {"url": "https://shop.example/souk"}
    assert seller.post("/webhooks", hook).status == 201
    seller.offer("Mug")
    hear_everything()
    age_everything(31)
    note_progress(CONSUMERS)
    looked = LookedThrough.objects.get().position
    purge_what_is_old()
    assert positions()[0] == looked + 1
    LookedThrough.objects.update(position=positions()[-1])
    purge_what_is_old()
    assert positions() == []


def test_what_a_webhook_is_still_owed_is_kept_until_it_was_taken(seller: SignedIn) -> None:
    seller.offer("Bowl")
    assert seller.post("/webhooks", {"url": "https://shop.example/souk"}).status == 201
    seller.offer("Mug")
    hear_everything()
    queue_deliveries()
    age_everything(31)
    note_progress(CONSUMERS)
    owed = Event.objects.get(pk=Delivery.objects.get().event_id)
    assert owed.position is not None
    assert owed.position > positions()[0]
    purge_what_is_old()
    assert positions()[0] == owed.position
    Delivery.objects.update(outcome="delivered", next_attempt_at=None)
    purge_what_is_old()
    assert positions() == []


def test_a_replay_of_what_is_gone_is_told_since_when_events_are_kept(seller: SignedIn) -> None:
    webhook = seller.post("/webhooks", {"url": "https://shop.example/souk"}).body["id"]
    seller.offer("Mug")
    start = (database_now() - timedelta(days=40)).isoformat()
    asked = {"from": start, "to": database_now().isoformat()}
    assert seller.post(f"/webhooks/{webhook}/replay", asked).status == 202
    hear_everything()
    age_everything(31)
    LookedThrough.objects.update(position=positions()[-1])
    Delivery.objects.update(outcome="failed", next_attempt_at=None)
    lamp = seller.offer("Lamp")
    hear_everything()
    note_progress(CONSUMERS)
    purge_what_is_old()
    refused = seller.post(f"/webhooks/{webhook}/replay", asked)
    assert (refused.status, refused.code, refused.pointers) == (410, "events_expired", ["/from"])
    again = {"from": refused.body["errors"][0]["oldest"], "to": database_now().isoformat()}
    assert seller.post(f"/webhooks/{webhook}/replay", again).body == {"queued": 1}
    assert [str(e.subject_id) for e in Event.objects.all()] == [lamp["id"]]


def test_a_mark_stops_before_the_first_event_that_is_not_heard(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", stock=5)
    pay(buyer, buyer.order((mug, 1)).body["id"])
    age_everything(1)
    note_progress(CONSUMERS)
    waiting = Event.objects.get(type="payment.requested").pk
    upto = {row.name: row.upto for row in Progress.objects.all()}
    assert upto["payments"].int == waiting.int - 1
    assert upto["orders"] == Event.objects.latest("id").pk
    assert all_heard_before() == upto["payments"]
    assert PAYMENTS.types() == Progress.objects.get(name="payments").types
