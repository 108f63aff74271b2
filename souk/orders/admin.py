"""Orders, for staff."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from souk.accounts.models import User
from souk.eventlog.models import Transition
from souk.kit.admin import ReasonForm, StaffPage, button, table
from souk.kit.machine import states_of
from souk.kit.money import written
from souk.orders.machine import OrderMachine
from souk.orders.models import Order, OrderLine
from souk.orders.operations import cancel_order
from souk.orders.operations.locking import lock_order
from souk.payments.models import Payment

LOOKED_THROUGH = 20_000


class StateFilter(admin.SimpleListFilter):
    """Orders of one state among the newest: a state that hardly any order has must not read all of them."""

    title = f"state (of the newest {LOOKED_THROUGH:,})"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state, state) for state in states_of(OrderMachine)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        if self.value() not in states_of(OrderMachine):
            return queryset
        newest = Order.all_objects.order_by("-id").values("id")[:LOOKED_THROUGH]
        return queryset.filter(id__in=newest, state=self.value())


@admin.register(Order)
class OrderPage(StaffPage):
    """Orders: read, history, cancel with a reason."""

    list_display = ("id", "buyer", "state", "sum", "created", "expires_at")
    list_select_related = ("buyer",)
    list_filter = (StateFilter,)
    exact_search = {"id": UUID, "buyer__in": User.all_objects.named}
    search_help_text = "Id, or the buyer's user name"
    fields = (
        "id",
        "buyer",
        "state",
        "reason",
        "sum",
        "lines_shown",
        "payments_shown",
        "history",
        "created",
        "expires_at",
        "confirmed_at",
        "accepted_at",
        "closed_at",
    )
    readonly_fields = fields
    actions_detail = ("cancel",)

    @admin.display(description="Total")
    def sum(self, order: Order) -> str:
        """What the buyer pays."""
        return written(order.total, order.currency)

    @admin.display(description="Lines")
    def lines_shown(self, order: Order) -> SafeString:
        """What was ordered, as it was then."""
        lines = OrderLine.all_objects.filter(order_id=order.pk).order_by("number")
        return table(
            ("title", "seller", "unit price", "quantity"),
            (
                (line.title, line.seller_username, written(line.unit_price, order.currency), line.quantity)
                for line in lines
            ),
        )

    @admin.display(description="Payments")
    def payments_shown(self, order: Order) -> SafeString:
        """Every attempt to be paid."""
        payments = Payment.all_objects.filter(reference=order.pk).order_by("attempt")
        return table(
            ("attempt", "state", "amount", "declined as", "created"),
            (
                (one.attempt, one.state, written(one.amount, one.currency), one.decline_code or "", one.created)
                for one in payments
            ),
        )

    @admin.display(description="History")
    def history(self, order: Order) -> SafeString:
        """Every state it went through, by whom and when."""
        rows = Transition.objects.filter(subject_id=order.pk).order_by("sequence")
        return table(
            ("from", "to", "event", "actor", "at"),
            ((row.source or "", row.target, row.event, row.actor, row.at) for row in rows),
        )

    @button(
        title="Cancel the order",
        permission="orders.change_order",
        explains="Possible while the order waits for its confirmation. Its stock is given back; the buyer is told why.",
        form=ReasonForm,
    )
    def cancel(self, staff: User, form: ReasonForm, order: Order) -> str:
        """Cancel a pending order."""
        cancel_order(order=lock_order(order_id=order.pk), staff=staff, note=form.cleaned_data["reason"])
        return "The order is cancelled."
