"""Dead letters and the audit trail, for staff."""

from __future__ import annotations

from uuid import UUID

from django.contrib import admin

from souk.eventlog.models import Event
from souk.kit.admin import StaffPage
from souk.reactions.models import DeadLetter


@admin.register(DeadLetter)
class DeadLetterPage(StaffPage):
    """Events that a consumer could not bear: read, requeue."""

    list_display = ("consumer", "event_id", "event_type", "at")
    exact_search = {"event_id": UUID}
    fields = ("consumer", "event_id", "event", "error", "at")
    readonly_fields = fields

    @admin.display(description="Type")
    def event_type(self, letter: DeadLetter) -> str:
        """What the event was, when it was one."""
        return str(letter.event.get("type", ""))


@admin.register(Event)
class EventPage(StaffPage):
    """The log of what happened and who did it: the audit trail. Read only."""

    list_display = ("created", "type", "subject_type", "subject_id", "actor", "position")
    exact_search = {"id": UUID, "subject_id": UUID}
    fields = (
        "id",
        "type",
        "subject_type",
        "subject_id",
        "sequence",
        "data",
        "actor",
        "traceparent",
        "created",
        "position",
    )
    readonly_fields = fields
