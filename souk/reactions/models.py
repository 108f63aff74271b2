"""What each consumer has heard, how far that goes, what it will try again, and what it could not bear."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import UniqueConstraint

from souk.eventlog.models import ClockTimestamp


class Processed(models.Model):
    """That a consumer has had its effect of an event: written in the same transaction as the effect."""

    pk = models.CompositePrimaryKey("consumer", "event_id")
    consumer = models.SmallIntegerField()
    event_id = models.UUIDField()
    at = models.DateTimeField(db_default=ClockTimestamp())


class Retry(models.Model):
    """An event that a consumer has begun `tries` times without coming to an end, and begins again at `next_try_at`.

    Until then the subject's later events wait for it. Gone when the event is heard or parked.
    """

    pk = models.CompositePrimaryKey("consumer", "event_id")
    consumer = models.SmallIntegerField()
    event_id = models.UUIDField()
    tries = models.SmallIntegerField()
    next_try_at = models.DateTimeField()
    error = models.TextField()

    class Meta:
        indexes = [models.Index(fields=["next_try_at"], name="retry_due")]


class Beginning(models.Model):
    """A consumer hears the events after this one; without a row, all of them. Written by the migration that adds it."""

    consumer = models.SmallIntegerField(primary_key=True)
    after = models.UUIDField()


class Progress(models.Model):
    """How far a consumer is, for those who ask without knowing the consumers: kept by the clock, a row for each.

    Every event of its types up to the id `upto` is heard; `at` is when that was last looked at. `reconciled` counts the
    events that only the reconciler found, the last of them at `reconciled_at`.
    """

    consumer = models.SmallIntegerField(primary_key=True)
    name = models.CharField(max_length=32)
    types = ArrayField(models.CharField(max_length=64))
    upto = models.UUIDField()
    at = models.DateTimeField(db_default=ClockTimestamp())
    reconciled = models.BigIntegerField(default=0, db_default=0)
    reconciled_at = models.DateTimeField(null=True)


class DeadLetter(models.Model):
    """An event that a consumer failed on `tries` times, or a stream's entry that is none. Requeueing deletes it."""

    id = models.BigAutoField(primary_key=True)
    consumer = models.CharField(max_length=32)
    event_id = models.UUIDField()
    event = models.JSONField()
    error = models.TextField()
    tries = models.SmallIntegerField(default=1, db_default=1)
    at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [UniqueConstraint(fields=["consumer", "event_id"], name="dead_letter_once")]

    def __str__(self) -> str:
        return f"{self.consumer}: {self.event_id}"
