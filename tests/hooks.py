"""Webhooks from a test's point of view: made through the API, sent here and now."""

from __future__ import annotations

from typing import Any

from souk.eventlog.operations import database_now
from souk.reactions.webhooks import Sender
from souk.webhooks.models import Delivery
from tests.callers import Api
from tests.receivers import Receiver

sender = Sender()


def send_all() -> None:
    """Let everything that is due be sent and settled."""
    sender.work()
    while sender._under_way:
        sender.work()


def hook(caller: Api, receiver: Receiver, **more: Any) -> dict[str, Any]:
    made = caller.post("/webhooks", {"url": receiver.url, **more})
    assert made.status == 201, made.body
    return dict(made.body)


def deliveries_of(caller: Api, webhook: dict[str, Any]) -> list[dict[str, Any]]:
    answer = caller.get(f"/webhooks/{webhook['id']}/deliveries")
    assert answer.status == 200
    return list(answer.body["results"])


def make_due() -> None:
    Delivery.objects.filter(outcome="pending").update(next_attempt_at=database_now())
