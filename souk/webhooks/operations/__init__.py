"""What changes webhooks and their deliveries, one module per stage of life."""

from souk.webhooks.operations.delivering import Due, settle_delivery, take_due_deliveries
from souk.webhooks.operations.queueing import (
    passed_position,
    purge_deliveries,
    queue_deliveries,
    queue_test,
    recent_outcomes,
    replay_events,
    seconds_behind,
)
from souk.webhooks.operations.registering import (
    change_webhook,
    delete_webhook,
    disable_failing_webhook,
    register_webhook,
    rotate_secret,
    switch_off_webhook,
)

__all__ = [
    "Due",
    "change_webhook",
    "delete_webhook",
    "disable_failing_webhook",
    "passed_position",
    "purge_deliveries",
    "queue_deliveries",
    "queue_test",
    "recent_outcomes",
    "register_webhook",
    "replay_events",
    "rotate_secret",
    "seconds_behind",
    "settle_delivery",
    "switch_off_webhook",
    "take_due_deliveries",
]
