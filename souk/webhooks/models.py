"""Webhooks, what is to be sent to them, and how far the log has been looked through for that."""

from __future__ import annotations

from typing import Any, ClassVar, Self
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import CheckConstraint, F, Q, UniqueConstraint

from souk.accounts.models import User
from souk.eventlog.models import ClockTimestamp, LivingSubject, Uuid7
from souk.kit.entity import AllRows, EntityQuerySet, LiveRows
from souk.kit.machine import state_constraint
from souk.webhooks.machine import WebhookMachine

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"


class WebhookQuerySet(EntityQuerySet):
    """Webhooks."""

    def visible_to(self, user_id: UUID) -> Self:
        """The owner's own."""
        return self.live().filter(owner_id=user_id)


class Webhook(LivingSubject):
    """An address that hears its owner's events of these types (none named: of all) behind the position `hears_after`.

    The secrets are sealed; the former one signs too until `former_until`. `failing_since` is when the tries that have
    failed without one success between them began.
    """

    subject_type: ClassVar[str] = "webhook"
    machine = WebhookMachine

    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    url = models.CharField(max_length=2048)
    types = ArrayField(models.CharField(max_length=64))
    description = models.CharField(max_length=200, blank=True)
    secret = models.BinaryField()
    former_secret = models.BinaryField(null=True)
    former_until = models.DateTimeField(null=True)
    hears_after = models.BigIntegerField(db_default=0)
    failing_since = models.DateTimeField(null=True)
    disabled_reason = models.CharField(max_length=32, null=True)  # noqa: DJ001  # null: it is not disabled

    all_objects: ClassVar[Any] = AllRows.from_queryset(WebhookQuerySet)()
    objects: ClassVar[Any] = LiveRows.from_queryset(WebhookQuerySet)()

    class Meta(LivingSubject.Meta):
        constraints = [
            state_constraint(WebhookMachine, "webhook_state"),
            CheckConstraint(
                condition=Q(state="DISABLED", disabled_reason__isnull=False)
                | Q(state="ENABLED", disabled_reason__isnull=True),
                name="webhook_disabled_for_a_reason",
            ),
        ]
        indexes = [models.Index("owner", F("id").desc(), condition=Q(deleted__isnull=True), name="webhook_of_owner")]


class Delivery(models.Model):
    """One event for one webhook, from its first try to its end. `attempt` counts the tries that were begun.

    `status_code`, `duration_ms` and `error` tell of the last try. While it is pending the next one is due at
    `next_attempt_at`; whoever begins it moves that on, so that a try that never ends is begun again. `body` is set for
    a test alone, which no event of the log stands behind. Bookkeeping: deleted when it is old.
    """

    id = models.UUIDField(primary_key=True, db_default=Uuid7())
    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="+", db_index=False)
    event_id = models.UUIDField()
    body = models.JSONField(null=True)
    attempt = models.SmallIntegerField(default=0, db_default=0)
    outcome = models.CharField(max_length=16, default=PENDING, db_default=PENDING)
    status_code = models.SmallIntegerField(null=True)
    duration_ms = models.IntegerField(null=True)
    error = models.CharField(max_length=200, null=True)  # noqa: DJ001  # null: the last try went well, or is to come
    created = models.DateTimeField(db_default=ClockTimestamp())
    next_attempt_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            UniqueConstraint(fields=["webhook", "event_id"], name="delivery_once"),
            CheckConstraint(condition=Q(outcome__in=[PENDING, DELIVERED, FAILED]), name="delivery_outcome"),
            CheckConstraint(
                condition=Q(outcome=PENDING, next_attempt_at__isnull=False)
                | (~Q(outcome=PENDING) & Q(next_attempt_at__isnull=True)),
                name="delivery_has_a_next_try_while_it_is_pending",
            ),
        ]
        indexes = [
            models.Index(fields=["webhook", "next_attempt_at"], condition=Q(outcome=PENDING), name="delivery_due"),
            models.Index("webhook", F("id").desc(), name="delivery_newest_of_webhook"),
        ]


class Progress(models.Model):
    """Up to which position the log was looked through for webhooks. Its only row is made with the first webhook."""

    id = models.SmallIntegerField(primary_key=True)
    position = models.BigIntegerField()
