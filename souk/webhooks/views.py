"""The doors of a user's webhooks."""

from __future__ import annotations

from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from souk.accounts.authentication import signed_in
from souk.kit.cursor import decode_cursor, link_next, paged
from souk.kit.door import Door, answer, no_content
from souk.kit.idempotency import SaidOnce
from souk.kit.parsing import Nothing, Page, parsed, query_of
from souk.kit.problem import NotFound
from souk.webhooks.models import Delivery, Webhook
from souk.webhooks.operations import (
    change_webhook,
    delete_webhook,
    queue_test,
    register_webhook,
    replay_events,
    rotate_secret,
)
from souk.webhooks.serializers import (
    DeliveriesOut,
    QueuedOut,
    ReplayIn,
    WebhookChange,
    WebhookIn,
    WebhooksOut,
    delivery_out,
    webhook_out,
)


class Webhooks(Door):
    """`GET`, `POST /webhooks`."""

    queried = True

    def get(self, request: Request) -> HttpResponse:
        owner = signed_in(request)
        asked = query_of(Page, request)
        webhooks = Webhook.objects.visible_to(owner.pk)
        if asked.cursor is not None:
            webhooks = webhooks.filter(id__lt=decode_cursor("webhooks", asked.cursor, UUID))
        rows = list(webhooks.order_by("-id")[: asked.limit + 1])
        page, following = paged(rows, asked.limit, list_name="webhooks", key=lambda webhook: webhook.pk)
        out = WebhooksOut(results=[webhook_out(webhook) for webhook in page], next=following)
        return link_next(request, answer(out), following)

    def post(self, request: Request) -> HttpResponse:
        owner = signed_in(request)
        asked = parsed(WebhookIn, request)
        webhook, secret = register_webhook(owner=owner, url=asked.url, types=asked.types, description=asked.description)
        response = _told_once(webhook, secret, status=201)
        response["Location"] = f"/api/v1/webhooks/{webhook.pk}"
        return response


class OneWebhook(Door):
    """`GET`, `PATCH`, `DELETE /webhooks/{id}`."""

    def get(self, request: Request, webhook_id: UUID) -> HttpResponse:
        return answer(webhook_out(_own_webhook(request, webhook_id)))

    def patch(self, request: Request, webhook_id: UUID) -> HttpResponse:
        owner = signed_in(request)
        _own_webhook(request, webhook_id)
        asked = parsed(WebhookChange, request)
        return answer(webhook_out(change_webhook(owner=owner, webhook_id=webhook_id, **asked.sent())))

    def delete(self, request: Request, webhook_id: UUID) -> HttpResponse:
        delete_webhook(owner=signed_in(request), webhook_id=webhook_id)
        return no_content()


class Rotation(Door):
    """`POST /webhooks/{id}/rotate`."""

    def post(self, request: Request, webhook_id: UUID) -> HttpResponse:
        owner = signed_in(request)
        _own_webhook(request, webhook_id)
        parsed(Nothing, request)
        return _told_once(*rotate_secret(owner=owner, webhook_id=webhook_id), status=200)


class Test(Door):
    """`POST /webhooks/{id}/test`."""

    def post(self, request: Request, webhook_id: UUID) -> HttpResponse:
        owner = signed_in(request)
        _own_webhook(request, webhook_id)
        parsed(Nothing, request)
        return answer(delivery_out(queue_test(owner=owner, webhook_id=webhook_id)), status=202)


class Replay(Door):
    """`POST /webhooks/{id}/replay`."""

    def post(self, request: Request, webhook_id: UUID) -> HttpResponse:
        owner = signed_in(request)
        _own_webhook(request, webhook_id)
        asked = parsed(ReplayIn, request)
        queued = replay_events(owner=owner, webhook_id=webhook_id, start=asked.start, end=asked.end)
        return answer(QueuedOut(queued=queued), status=202)


class Deliveries(Door):
    """`GET /webhooks/{id}/deliveries`, newest first."""

    queried = True

    def get(self, request: Request, webhook_id: UUID) -> HttpResponse:
        webhook = _own_webhook(request, webhook_id)
        asked = query_of(Page, request)
        deliveries = Delivery.objects.filter(webhook=webhook)
        if asked.cursor is not None:
            deliveries = deliveries.filter(id__lt=decode_cursor("deliveries", asked.cursor, UUID))
        rows = list(deliveries.order_by("-id")[: asked.limit + 1])
        page, following = paged(rows, asked.limit, list_name="deliveries", key=lambda delivery: delivery.pk)
        out = DeliveriesOut(results=[delivery_out(delivery) for delivery in page], next=following)
        return link_next(request, answer(out), following)


def _own_webhook(request: Request, webhook_id: UUID) -> Webhook:
    webhook: Webhook | None = Webhook.objects.visible_to(signed_in(request).pk).filter(pk=webhook_id).first()
    if webhook is None:
        raise NotFound
    return webhook


def _told_once(webhook: Webhook, secret: str, *, status: int) -> SaidOnce:
    response = SaidOnce(
        msgspec.json.encode(webhook_out(webhook, secret=secret)), status=status, content_type="application/json"
    )
    response.kept = msgspec.json.encode(webhook_out(webhook))
    return response
