"""The process that keeps time: all that the clock knows is the list of its duties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from django.db import connection

from souk.accounts.operations import purge_dead_tokens, purge_old_sessions, send_due_mails
from souk.bags.operations import abandon_untouched_bags
from souk.catalog.operations.tagging import fold_tag_uses
from souk.eventlog.operations import number_waiting_events
from souk.orders.machine import PENDING
from souk.orders.operations import expire_due_orders
from souk.orders.operations.auditing import note_drift
from souk.orders.operations.ending import AT_ONCE
from souk.reactions.consumers import CONSUMERS
from souk.reactions.loop import run_threads, stop_on_signal
from souk.reactions.payments import ask_for_due_payments, give_back_due_refunds
from souk.reactions.progress import note_progress
from souk.reactions.reconciler import reconcile, reconcile_all, try_again
from souk.reactions.retention import purge_what_is_old
from souk.reactions.trimming import trim_streams
from souk.reactions.webhooks import send_webhooks
from souk.search.operations.statistics import copy_statistics

log = structlog.get_logger()
# An overdue row that somebody else has locked is looked at again after this, not at once.
SHORTEST_PAUSE_SECONDS = 0.05
PURGED_AT_ONCE = 1000
KEEP_ANSWERS = "48 hours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What is done again and again, each duty in a thread of its own: a slow or failing one holds up no other.

    `every` is the pause in seconds; `sooner` gives a shorter one where the next deadline is known.
    """

    name: str
    work: Callable[[], object]
    every: float
    sooner: Callable[[], float] | None = None

    def do(self) -> float:
        """Do it once; returns after how many seconds it is due again."""
        self.work()
        soon = self.every if self.sooner is None else min(self.every, self.sooner())
        return max(soon, SHORTEST_PAUSE_SECONDS)


def expire_overdue_orders() -> None:
    """Close every order whose deadline has passed."""
    while expire_due_orders() == AT_ONCE:
        pass


def until_next_deadline() -> float:
    """Seconds until the next order is due; a minute when none is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM min(expires_at) - clock_timestamp()) FROM orders_order"
            " WHERE state = %s AND deleted IS NULL",
            [PENDING],
        )
        (seconds,) = cursor.fetchone()
    return 60.0 if seconds is None else float(seconds)


def reconcile_last_hour() -> None:
    """Find what the streams did not bring."""
    reconcile(CONSUMERS)


def reconcile_everything() -> None:
    """Find what the streams did not bring while nobody looked for longer than an hour."""
    reconcile_all(CONSUMERS)


def note_progress_of_all() -> None:
    """Write down how far every consumer is."""
    note_progress(CONSUMERS)


def try_failed_events_again() -> None:
    """Begin the tries that are due."""
    try_again(CONSUMERS)


def trim_read_streams() -> None:
    """Take out of the streams what every group has acknowledged."""
    trim_streams(CONSUMERS)


def purge_all_dead_tokens() -> None:
    """Delete the tokens that nobody can use any more."""
    while purge_dead_tokens(limit=PURGED_AT_ONCE) >= PURGED_AT_ONCE:
        pass


def purge_ended_sessions() -> None:
    """Delete the sessions of the pages for staff that have ended."""
    while purge_old_sessions(limit=PURGED_AT_ONCE) == PURGED_AT_ONCE:
        pass


def purge_old_answers() -> None:
    """Delete the answers that are kept for an Idempotency-Key no longer."""
    while _purge_old_answers() == PURGED_AT_ONCE:
        pass


DUTIES = [
    Duty(name="expire overdue orders", work=expire_overdue_orders, every=1, sooner=until_next_deadline),
    Duty(name="number waiting events", work=number_waiting_events, every=1),
    Duty(name="ask for due payments", work=ask_for_due_payments, every=1),
    Duty(name="give back due refunds", work=give_back_due_refunds, every=1),
    Duty(name="try failed events again", work=try_failed_events_again, every=1),
    Duty(name="note progress", work=note_progress_of_all, every=5),
    Duty(name="reconcile last hour", work=reconcile_last_hour, every=30),
    Duty(name="reconcile everything", work=reconcile_everything, every=24 * 3600),
    Duty(name="trim streams", work=trim_read_streams, every=10),
    Duty(name="compare the books", work=note_drift, every=600),
    Duty(name="abandon untouched bags", work=abandon_untouched_bags, every=3600),
    Duty(name="purge old answers", work=purge_old_answers, every=600),
    Duty(name="send due mails", work=send_due_mails, every=1),
    Duty(name="purge dead tokens", work=purge_all_dead_tokens, every=600),
    Duty(name="purge ended sessions", work=purge_ended_sessions, every=3600),
    Duty(name="send webhooks", work=send_webhooks, every=0.25),
    Duty(name="fold tag uses", work=fold_tag_uses, every=1),
    Duty(name="purge what is old", work=purge_what_is_old, every=600),
    Duty(name="copy search statistics", work=copy_statistics, every=60),
]


def main() -> None:
    """Do the duties until SIGTERM or SIGINT; what is being done is finished first."""
    stop = stop_on_signal()
    log.info("clock.started", duties=[duty.name for duty in DUTIES])
    run_threads({duty.name: duty.do for duty in DUTIES}, stop=stop)
    log.info("clock.stopped")


def _purge_old_answers() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM kit_idempotentanswer WHERE (user_id, key) IN (SELECT user_id, key FROM kit_idempotentanswer"
            " WHERE created < now() - %s::interval ORDER BY created LIMIT %s FOR UPDATE SKIP LOCKED)",
            [KEEP_ANSWERS, PURGED_AT_ONCE],
        )
        return int(cursor.rowcount)
