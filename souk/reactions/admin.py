"""Dead letters and the audit trail, for staff."""

from __future__ import annotations

from uuid import UUID

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from souk.accounts.models import User
from souk.accounts.operations import note_act
from souk.eventlog.models import Event
from souk.kit.admin import StaffForm, StaffPage, button
from souk.kit.problem import NotFound
from souk.reactions.consumers import CONSUMERS
from souk.reactions.letters import requeue
from souk.reactions.models import DeadLetter


@admin.register(DeadLetter)
class DeadLetterPage(StaffPage):
    """Events that a consumer could not bear: read, requeue."""

    list_display = ("consumer", "event_id", "event_type", "at")
    exact_search = {"event_id": UUID}
    search_help_text = "Id of the event"
    fields = ("consumer", "event_id", "event", "traceback", "tries", "at")
    readonly_fields = fields
    actions_detail = ("requeue",)

    @button(
        title="Requeue",
        permission="reactions.change_deadletter",
        explains="The consumer hears the event again, from the first try on, and this letter goes.",
    )
    def requeue(self, staff: User, form: StaffForm, letter: DeadLetter) -> str:
        """Let the event be heard again."""
        consumers = [consumer for consumer in CONSUMERS if consumer.name == letter.consumer]
        requeued = requeue(consumers, ids=[letter.event_id])
        if not requeued.events and not requeued.dropped:
            raise NotFound("This letter is not there any more: somebody else has requeued it.")
        note_act(
            staff=staff,
            act="dead-letter.requeue",
            target_type="event",
            target_id=letter.event_id,
            consumer=letter.consumer,
        )
        return "It is heard again." if requeued.events else "There is no such event in the log: the letter is gone."

    @admin.display(description="Last error")
    def traceback(self, letter: DeadLetter) -> SafeString:
        """The last try's, line by line."""
        return format_html("<pre>{}</pre>", letter.error)

    @admin.display(description="Type")
    def event_type(self, letter: DeadLetter) -> str:
        """What the event was, when it was one."""
        return str(letter.event.get("type", ""))


@admin.register(Event)
class EventPage(StaffPage):
    """The log of what happened and who did it: the audit trail. Read only."""

    list_display = ("created", "type", "subject_type", "subject_id", "actor", "position")
    exact_search = {"id": UUID, "subject_id": UUID}
    search_help_text = "Id of the event or of its subject"
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
