"""The front page for staff: today's numbers, and how every part of Souk is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.urls import reverse

from souk.kit.entity import floor_of
from souk.web.health import health

# Ids are clocks: what was made today is the end of an index. Nobody needs to know more exactly than this.
MOST_COUNTED = 100_000
SINCE = "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE id >= %(since)s{more} LIMIT %(most)s) AS found"
NUMBERS = {
    "New accounts": SINCE.format(table="accounts_user", more=""),
    "New products": SINCE.format(table="catalog_product", more=""),
    "Orders placed": SINCE.format(table="orders_order", more=""),
    "Orders accepted": SINCE.format(table="orders_order", more=" AND state = 'ACCEPTED'"),
    "Waiting for confirmation": (
        "SELECT count(*) FROM (SELECT 1 FROM orders_order WHERE state = 'PENDING_CONFIRMATION' LIMIT %(most)s) AS found"
    ),
    "Dead letters": "SELECT count(*) FROM (SELECT 1 FROM reactions_deadletter LIMIT %(most)s) AS found",
}


# Title, icon, address and what one must be allowed to see it.
PAGES = (
    ("Overview", "monitoring", "index", None),
    ("Orders", "receipt_long", "orders_order_changelist", "orders.view_order"),
    ("Payments", "payments", "payments_payment_changelist", "payments.view_payment"),
    ("Products", "inventory_2", "catalog_product_changelist", "catalog.view_product"),
    ("Tags", "sell", "catalog_tag_changelist", "catalog.view_tag"),
    ("Users", "group", "accounts_user_changelist", "accounts.view_user"),
    ("Groups of the staff", "badge", "auth_group_changelist", "accounts.appoint_staff"),
    ("Webhooks", "webhook", "webhooks_webhook_changelist", "webhooks.view_webhook"),
    ("Dead letters", "report", "reactions_deadletter_changelist", "reactions.view_deadletter"),
    ("Audit trail", "history", "eventlog_event_changelist", "eventlog.view_event"),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The menu of the pages for staff: what this member may see."""
    items = [
        {"title": title, "icon": icon, "link": reverse(f"admin:{name}")}
        for title, icon, name, permission in PAGES
        if permission is None or _may_see(request, permission)
    ]
    return [{"items": items}]


def _may_see(request: HttpRequest, permission: str) -> bool:
    # Who may press the buttons of a page sees it, as the page itself has it.
    return any(request.user.has_perm(one) for one in (permission, permission.replace(".view_", ".change_")))


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What unfold's front page is told, for a member of the staff who may see orders."""
    if _may_see(request, "orders.view_order"):
        found = health()
        context["numbers"] = [(name, _shown(number)) for name, number in _numbers().items()]
        context["status"] = found.status
        context["checks"] = [
            (name.replace("_", " "), check.state, None if check.age_seconds is None else round(check.age_seconds, 1))
            for name, check in found.checks.items()
        ]
    return context


def _numbers() -> dict[str, int]:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = {}
    with connection.cursor() as cursor:
        for name, statement in NUMBERS.items():
            cursor.execute(statement, {"since": floor_of(midnight), "most": MOST_COUNTED})
            (found[name],) = cursor.fetchone()
    return found


def _shown(number: int) -> str:
    return f"{number:,}" if number < MOST_COUNTED else f"more than {MOST_COUNTED:,}"
