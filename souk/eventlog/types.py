"""Every type of event there is: the words that a feed or a webhook can be narrowed to."""

from __future__ import annotations

from collections.abc import Iterable

EVENT_TYPES = (
    "user.registered",
    "user.deleted",
    "user.followed",
    "product.created",
    "product.changed",
    "product.deleted",
    "product.sold_out",
    "product.back_in_stock",
    "order.placed",
    "order.confirmed",
    "order.accepted",
    "order.payment_declined",
    "order.not_confirmed",
    "order.cancelled",
    "payment.requested",
    "payment.captured",
    "payment.declined",
    "payment.refunded",
    "webhook.disabled",
)
# What staff and operators do, for the audit trail: nobody's feed shows it, and no webhook can ask for it.
AUDIT_TYPES = ("user.locked", "user.unlocked", "user.tokens_ended", "user.appointed", "staff.acted")
_KNOWN = frozenset(EVENT_TYPES)


def unknown_types(types: Iterable[str]) -> list[tuple[int, str]]:
    """Those that are no type of event, each with its place."""
    return [(place, name) for place, name in enumerate(types) if name not in _KNOWN]
