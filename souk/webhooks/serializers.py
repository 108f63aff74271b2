"""The shapes of webhooks and deliveries, in and out."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from souk.eventlog.types import EVENT_TYPES
from souk.kit.parsing import Count, Moment, Shape, told, words_of
from souk.webhooks.models import Delivery, Webhook

# What the contract says of an address; `gateway.check_url` judges it.
HTTPS = r"^https://([a-z0-9]+(-[a-z0-9]+)*\.)+[a-z]{2,24}(:[1-9][0-9]{0,3})?(/[!$-;=?-Z_a-z~]*)?$"
Url = Annotated[str, msgspec.Meta(max_length=2048), told(pattern=HTTPS)]
EventType = Annotated[str, msgspec.Meta(max_length=64), words_of(*EVENT_TYPES)]
Types = Annotated[list[EventType], msgspec.Meta(max_length=2 * len(EVENT_TYPES))]
Description = Annotated[str, msgspec.Meta(max_length=200)]
State = Literal["ENABLED", "DISABLED"]
ShownState = Annotated[str, words_of("ENABLED", "DISABLED")]


class WebhookIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user sends for a new webhook. No types: every type."""

    url: Url
    types: Types = []
    description: Description = ""


class WebhookChange(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What its owner sends to change a webhook."""

    url: Url | UnsetType = UNSET
    types: Types | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    state: State | UnsetType = UNSET

    def sent(self) -> dict[str, Any]:
        """The fields that were sent."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}


class ReplayIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"start": "from", "end": "to"}):
    """Which events are to be sent again: those made in [from, to)."""

    start: Moment
    end: Moment

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("A moment has a zone, such as Z")
        if self.end - self.start <= timedelta():
            raise ValueError("`to` is later than `from`")


class WebhookOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A webhook, for its owner. `secret` is told when it is made, and never again."""

    id: UUID
    url: str
    types: list[EventType]
    description: str
    state: ShownState
    disabled_reason: str | None
    created: Moment
    updated: Moment
    secret: str | UnsetType = UNSET


class WebhooksOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of webhooks."""

    results: list[WebhookOut]
    next: str | None


class DeliveryOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one event at one webhook. Status, duration and error are those of the last try."""

    id: UUID
    event_id: UUID
    attempt: Count
    status_code: int | None
    outcome: Annotated[str, words_of("pending", "delivered", "failed")]
    duration_ms: Count | None
    error: str | None
    created: Moment
    next_attempt_at: Moment | None


class DeliveriesOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of deliveries, newest first."""

    results: list[DeliveryOut]
    next: str | None


class QueuedOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many events will be sent again."""

    queued: Count


def webhook_out(webhook: Webhook, *, secret: str | UnsetType = UNSET) -> WebhookOut:
    """The webhook as its owner sees it."""
    return WebhookOut(
        id=webhook.pk,
        url=webhook.url,
        types=webhook.types,
        description=webhook.description,
        state=webhook.state,
        disabled_reason=webhook.disabled_reason,
        created=webhook.created,
        updated=webhook.updated,
        secret=secret,
    )


def delivery_out(delivery: Delivery) -> DeliveryOut:
    """The delivery as the webhook's owner sees it."""
    return DeliveryOut(
        id=delivery.pk,
        event_id=delivery.event_id,
        attempt=delivery.attempt,
        status_code=delivery.status_code,
        outcome=delivery.outcome,
        duration_ms=delivery.duration_ms,
        error=delivery.error,
        created=delivery.created,
        next_attempt_at=delivery.next_attempt_at,
    )
