"""Naming an address, changing it, giving it up. Lock order: the owner's row, the webhook, its deliveries."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from souk.accounts.models import User
from souk.eventlog.feed import present_position
from souk.eventlog.operations import (
    SYSTEM,
    Actor,
    acting_staff,
    acting_user,
    begin_life,
    change_state,
    database_now,
)
from souk.eventlog.types import unknown_types
from souk.kit.problem import NotFound, ValidationFailed
from souk.kit.sealing import seal
from souk.kit.tracing import traced
from souk.webhooks.gateway import PREFIX, BadAddress, check_url
from souk.webhooks.machine import DISABLED, ENABLED
from souk.webhooks.models import FAILED, PENDING, Delivery, Webhook

MOST_WEBHOOKS = 20
SECRET_BYTES = 32
PURPOSE = "webhook secrets"
# How long the secret from before a rotation signs beside the new one.
BOTH_SIGN = timedelta(hours=24)
# A new webhook hears what happens from now on; the first of all begins the looking through the log.
BEGIN_PROGRESS = """
INSERT INTO webhooks_progress (id, position) SELECT 1, last FROM eventlog_position ON CONFLICT DO NOTHING
"""


class TooManyWebhooks(ValidationFailed):
    """A user may have so many webhooks. 400."""

    def __init__(self) -> None:
        detail = f"A user has at most {MOST_WEBHOOKS} webhooks."
        super().__init__(errors=[{"pointer": "", "code": "too_many_webhooks", "detail": detail}])


@traced
@transaction.atomic(savepoint=False)
def register_webhook(*, owner: User, url: str, types: Sequence[str], description: str) -> tuple[Webhook, str]:
    """Let this address hear the owner's events of these types (none: of all) from now on.

    Returns the webhook and its secret, which is readable here only. Raises ValidationFailed for an address or a type
    that cannot be, TooManyWebhooks.
    """
    _check(url, types)
    # The owner's row is locked before their webhooks are counted: two at once count one after the other.
    User.objects.select_for_update(no_key=True).filter(pk=owner.pk).values_list("pk").first()
    if Webhook.objects.filter(owner=owner).count() >= MOST_WEBHOOKS:
        raise TooManyWebhooks
    hears_after = present_position()
    with connection.cursor() as cursor:
        cursor.execute(BEGIN_PROGRESS)
    now, secret = database_now(), _new_secret()
    webhook = Webhook(
        owner=owner,
        url=url,
        types=_distinct(types),
        description=description,
        secret=seal(secret, purpose=PURPOSE),
        state=ENABLED,
        hears_after=hears_after,
        created=now,
        updated=now,
    )
    begin_life(webhook, "register", actor=acting_user(owner.pk), at=now)
    return webhook, secret


@traced
@transaction.atomic(savepoint=False)
def change_webhook(
    *,
    owner: User,
    webhook_id: UUID,
    url: str | None = None,
    types: Sequence[str] | None = None,
    description: str | None = None,
    state: str | None = None,
) -> Webhook:
    """Change what is given. Switching off fails what waits to be sent; switching on begins with what happens then.

    Raises NotFound, and ValidationFailed for an address or a type that cannot be.
    """
    webhook = lock_webhook(owner=owner, webhook_id=webhook_id)
    values: dict[str, Any] = {}
    if url is not None and url != webhook.url:
        values |= {"url": url, "failing_since": None}
    if types is not None:
        values["types"] = _distinct(types)
    if description is not None:
        values["description"] = description
    _check(url if "url" in values else None, types or [])
    now = database_now()
    if values:
        webhook.change(updated=now, **values)
    actor = acting_user(owner.pk)
    if state == DISABLED and webhook.state == ENABLED:
        change_state(webhook, "disable", actor=actor, at=now, disabled_reason="owner")
        fail_pending(webhook.pk)
    elif state == ENABLED and webhook.state == DISABLED:
        fresh: dict[str, Any] = {"disabled_reason": None, "failing_since": None}
        fresh["hears_after"] = present_position()
        change_state(webhook, "enable", actor=actor, at=now, **fresh)
    return webhook


@traced
@transaction.atomic(savepoint=False)
def rotate_secret(*, owner: User, webhook_id: UUID) -> tuple[Webhook, str]:
    """Give the webhook a new secret; the former one signs too for a day. Returns both. Raises NotFound."""
    webhook = lock_webhook(owner=owner, webhook_id=webhook_id)
    now, secret = database_now(), _new_secret()
    webhook.change(
        secret=seal(secret, purpose=PURPOSE), former_secret=webhook.secret, former_until=now + BOTH_SIGN, updated=now
    )
    return webhook, secret


@traced
@transaction.atomic(savepoint=False)
def delete_webhook(*, owner: User, webhook_id: UUID) -> None:
    """Send nothing there any more. Raises NotFound."""
    webhook = lock_webhook(owner=owner, webhook_id=webhook_id)
    webhook.change(deleted=database_now())
    fail_pending(webhook.pk)


@traced
@transaction.atomic(savepoint=False)
def switch_off_webhook(*, webhook_id: UUID, staff: User, note: str) -> None:
    """Switch off anybody's webhook, by a member of the staff, whose note its owner is told.

    Raises NotFound, IllegalTransition.
    """
    webhook: Webhook | None = Webhook.objects.select_for_update(no_key=True).filter(pk=webhook_id).first()
    if webhook is None:
        raise NotFound
    disable_failing_webhook(webhook=webhook, reason="staff", actor=acting_staff(staff.pk), note=note)


def disable_failing_webhook(*, webhook: Webhook, reason: str, actor: Actor = SYSTEM, note: str = "") -> None:
    """Switch off a webhook that the caller has locked, and tell its owner why; what waits to be sent fails."""
    change_state(
        webhook,
        "disable",
        actor=actor,
        at=database_now(),
        event_type="webhook.disabled",
        data={"reason": reason, "url": webhook.url, **({"note": note} if note else {})},
        audience=[webhook.owner_id],
        disabled_reason=reason,
    )
    fail_pending(webhook.pk)


def lock_webhook(*, owner: User, webhook_id: UUID) -> Webhook:
    """The owner's webhook, locked until the transaction ends. Raises NotFound."""
    found: Webhook | None = (
        Webhook.objects.visible_to(owner.pk).filter(pk=webhook_id).select_for_update(no_key=True).first()
    )
    if found is None:
        raise NotFound
    return found


def fail_pending(webhook_id: UUID) -> None:
    """End what waits to be sent; a replay can bring it back."""
    Delivery.objects.filter(webhook_id=webhook_id, outcome=PENDING).update(outcome=FAILED, next_attempt_at=None)


def _check(url: str | None, types: Sequence[str]) -> None:
    errors = [
        {"pointer": f"/types/{place}", "code": "unknown", "detail": "There is no such type of event."}
        for place, _ in unknown_types(types)
    ]
    if url is not None:
        try:
            check_url(url, allow_loopback=settings.WEBHOOK_ALLOW_LOOPBACK)
        except BadAddress as bad:
            errors.insert(0, {"pointer": "/url", "code": "invalid", "detail": str(bad)})
    if errors:
        raise ValidationFailed(errors=errors)


def _distinct(types: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(types))


def _new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
