"""Webhooks, for staff."""

from __future__ import annotations

from uuid import UUID

from django.contrib import admin
from django.utils.safestring import SafeString

from souk.accounts.models import User
from souk.kit.admin import ReasonForm, StaffPage, button, table
from souk.webhooks.models import Delivery, Webhook
from souk.webhooks.operations import switch_off_webhook

SHOWN = 20


@admin.register(Webhook)
class WebhookPage(StaffPage):
    """Webhooks: read, switch off. Secrets are not shown."""

    list_display = ("url", "owner", "state", "disabled_reason", "failing_since", "created", "deleted")
    list_select_related = ("owner",)
    exact_search = {"id": UUID, "owner__in": User.all_objects.named}
    search_help_text = "Id, or the owner's user name"
    fields = (
        "id",
        "owner",
        "url",
        "types",
        "description",
        "state",
        "disabled_reason",
        "failing_since",
        "created",
        "updated",
        "deleted",
        "deliveries",
    )
    readonly_fields = fields
    actions_detail = ("switch_off",)

    @admin.display(description="Last deliveries")
    def deliveries(self, webhook: Webhook) -> SafeString:
        """The last things that were sent, or are to be."""
        rows = Delivery.objects.filter(webhook_id=webhook.pk).order_by("-id")[:SHOWN]
        return table(
            ("event", "attempt", "status", "outcome", "created"),
            ((row.event_id, row.attempt, row.status_code or "", row.outcome, row.created) for row in rows),
        )

    @button(
        title="Switch off",
        permission="webhooks.change_webhook",
        explains="Nothing is sent there until its owner switches it on again. They are told the reason.",
        form=ReasonForm,
    )
    def switch_off(self, staff: User, form: ReasonForm, webhook: Webhook) -> str:
        """Send nothing there any more."""
        switch_off_webhook(webhook_id=webhook.pk, staff=staff, note=form.cleaned_data["reason"])
        return "The webhook is switched off."
