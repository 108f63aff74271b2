"""The contract of the doors of webhooks: what each says of itself. The API never loads it."""

from __future__ import annotations

from collections.abc import Mapping

from souk.kit.described import Description, Link
from souk.kit.machine import IllegalTransition
from souk.kit.parsing import Nothing, Page
from souk.webhooks.operations.queueing import ReplayExpired
from souk.webhooks.serializers import (
    DeliveriesOut,
    DeliveryOut,
    QueuedOut,
    ReplayIn,
    WebhookChange,
    WebhookIn,
    WebhookOut,
    WebhooksOut,
)

DOORS: Mapping[str, Description] = {
    "Webhooks.get": Description(
        name="list_webhooks",
        summary="List the caller's webhooks",
        tag="Webhooks",
        caller="user",
        query=Page,
        answer=WebhooksOut,
        text="The newest first.",
    ),
    "Webhooks.post": Description(
        name="create_webhook",
        summary="Have events sent to an address",
        tag="Webhooks",
        caller="user",
        body=WebhookIn,
        answer=WebhookOut,
        status=201,
        links={
            name: Link(operation=name, parameters={"webhook_id": "$response.body#/id"})
            for name in (
                "get_webhook",
                "change_webhook",
                "rotate_webhook_secret",
                "test_webhook",
                "list_deliveries",
                "delete_webhook",
            )
        },
        text="No types: every type. The `secret` is told here and at rotation only. The 21st is refused: "
        "`validation_failed`, with `too_many_webhooks` among its `errors`.",
    ),
    "OneWebhook.get": Description(
        name="get_webhook",
        summary="Show a webhook",
        tag="Webhooks",
        caller="user",
        answer=WebhookOut,
    ),
    "OneWebhook.patch": Description(
        name="change_webhook",
        summary="Change a webhook, switch it on or off",
        tag="Webhooks",
        caller="user",
        body=WebhookChange,
        answer=WebhookOut,
    ),
    "OneWebhook.delete": Description(
        name="delete_webhook",
        summary="Delete a webhook",
        tag="Webhooks",
        caller="user",
        status=204,
    ),
    "Rotation.post": Description(
        name="rotate_webhook_secret",
        summary="Give a webhook a new secret",
        tag="Webhooks",
        caller="user",
        body=Nothing,
        answer=WebhookOut,
        text="The former one signs too for a day.",
    ),
    "Test.post": Description(
        name="test_webhook",
        summary="Have a sample sent",
        tag="Webhooks",
        caller="user",
        body=Nothing,
        answer=DeliveryOut,
        status=202,
        refuses=(IllegalTransition,),
    ),
    "Replay.post": Description(
        name="replay_webhook",
        summary="Have events sent again",
        tag="Webhooks",
        caller="user",
        body=ReplayIn,
        answer=QueuedOut,
        status=202,
        refuses=(IllegalTransition, ReplayExpired),
        text="Those made at or after `from` and before `to`.",
    ),
    "Deliveries.get": Description(
        name="list_deliveries",
        summary="List what became of the events sent",
        tag="Webhooks",
        caller="user",
        query=Page,
        answer=DeliveriesOut,
        text="The newest first.",
    ),
}
