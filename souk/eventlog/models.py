"""The rows of the log, and the base of everything that events tell about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Func, Q, UniqueConstraint, Value

from souk.kit.entity import Entity
from souk.kit.machine import Life


class ClockTimestamp(Func):
    """The present moment of the database, not the start of its transaction."""

    function = "clock_timestamp"
    output_field = models.DateTimeField()


class Uuid7(Func):
    """PostgreSQL's `uuidv7()`; on servers before 18 a migration adds it."""

    function = "uuidv7"
    output_field = models.UUIDField()


class Subject(Entity):
    """An entity that events tell about. `last_sequence` numbers its events, without holes."""

    subject_type: ClassVar[str]

    last_sequence = models.BigIntegerField(default=0, editable=False)

    class Meta(Entity.Meta):
        abstract = True

    def __str__(self) -> str:
        return f"{self.subject_type} {self.pk}"

    @classmethod
    def data_seen_by(cls, viewer_id: UUID, told: Sequence[tuple[UUID, Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
        """What of its events' data this user may see, one for one; `told` are pairs of subject id and data.

        Everything, for the listeners that an event names. A subject that shows each of them something else says so.
        """
        return [data for _, data in told]


class LivingSubject(Subject):
    """A subject with a life of its own: `state` is changed by `souk.eventlog.operations.change_state` alone."""

    machine: ClassVar[type[Life]]
    # True where a trigger writes the events, since bulk SQL changes these rows too.
    events_by_trigger: ClassVar[bool] = False

    state = models.CharField(max_length=32)

    class Meta(Subject.Meta):
        abstract = True


class Event(models.Model):
    """One thing that happened. Written once; only `position` is set later, by `number_events`."""

    id = models.UUIDField(primary_key=True, db_default=Uuid7())
    n = models.BigIntegerField(db_default=Func(Value("eventlog_event_n"), function="nextval"))
    type = models.CharField(max_length=64)
    subject_type = models.CharField(max_length=32)
    subject_id = models.UUIDField()
    sequence = models.BigIntegerField()
    data = models.JSONField()
    actor = models.CharField(max_length=64)
    traceparent = models.CharField(max_length=64, null=True)  # noqa: DJ001  # null says that there was no trace
    created = models.DateTimeField(db_default=ClockTimestamp())
    audience = ArrayField(models.UUIDField())
    position = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            UniqueConstraint(fields=["subject_id", "sequence", "subject_type"], name="event_sequence_once"),
            UniqueConstraint(fields=["position"], name="event_position_once"),
        ]
        indexes = [models.Index(F("n"), condition=Q(position__isnull=True), name="event_unnumbered")]

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"


class Audience(models.Model):
    """Who may see which event: the index that a caller's feed is one range of."""

    pk = models.CompositePrimaryKey("user_id", "position")
    user_id = models.UUIDField()
    position = models.BigIntegerField()
    type = models.CharField(max_length=64)
    event_id = models.UUIDField()


class Position(models.Model):
    """The last position given, in its only row: positions go on after old events are gone."""

    id = models.SmallIntegerField(primary_key=True)
    last = models.BigIntegerField()


class Transition(models.Model):
    """One change of one state: the history that outlives the events. `source` is null for the beginning."""

    id = models.BigAutoField(primary_key=True)
    subject_type = models.CharField(max_length=32)
    subject_id = models.UUIDField()
    sequence = models.IntegerField()
    source = models.CharField(max_length=32, null=True)  # noqa: DJ001  # null says that the row began here
    target = models.CharField(max_length=32)
    event = models.CharField(max_length=32)
    actor = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [UniqueConstraint(fields=["subject_id", "sequence"], name="transition_sequence_once")]
