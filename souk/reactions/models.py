"""What each consumer has heard, and what it could not bear."""

from __future__ import annotations

from django.db import models
from django.db.models import UniqueConstraint

from souk.eventlog.models import ClockTimestamp


class Processed(models.Model):
    """That a consumer has had its effect of an event: written in the same transaction as the effect."""

    pk = models.CompositePrimaryKey("consumer", "event_id")
    consumer = models.SmallIntegerField()
    event_id = models.UUIDField()
    at = models.DateTimeField(db_default=ClockTimestamp())


class DeadLetter(models.Model):
    """An event that a consumer failed on too often. Requeueing deletes the row."""

    id = models.BigAutoField(primary_key=True)
    consumer = models.CharField(max_length=32)
    event_id = models.UUIDField()
    event = models.JSONField()
    error = models.TextField()
    at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [UniqueConstraint(fields=["consumer", "event_id"], name="dead_letter_once")]
