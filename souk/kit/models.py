"""The rows of answers that were given under an Idempotency-Key."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class IdempotentAnswer(models.Model):
    """One answered request. Bookkeeping: really deleted by the clock."""

    pk = models.CompositePrimaryKey("user_id", "key")
    user_id = models.UUIDField()
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField()
    status = models.SmallIntegerField()
    headers = models.JSONField()
    body = models.BinaryField()
    created = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["created"], name="idempotent_answer_age")]
