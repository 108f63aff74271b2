"""Payments, for staff to read."""

from __future__ import annotations

from uuid import UUID

from django.contrib import admin

from souk.kit.admin import StaffPage
from souk.kit.money import written
from souk.payments.models import Payment


@admin.register(Payment)
class PaymentPage(StaffPage):
    """Payments: read. What was paid with stays with the provider."""

    list_display = ("id", "reference", "attempt", "sum", "state", "decline_code", "created")
    exact_search = {"id": UUID, "reference": UUID}
    search_help_text = "Id of the payment or its order"
    fields = (
        "id",
        "reference",
        "attempt",
        "payer_id",
        "sum",
        "state",
        "charge_id",
        "decline_code",
        "tries",
        "next_try_at",
        "refund_due_at",
        "created",
        "updated",
    )
    readonly_fields = fields

    @admin.display(description="Amount")
    def sum(self, payment: Payment) -> str:
        """What is, or was, to be paid."""
        return written(payment.amount, payment.currency)
