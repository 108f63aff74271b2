"""The statements of the checker see what is wrong in a database: one row is changed, and the rule about it is told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from souk.eventlog.operations import number_events
from souk.reactions.consumers import CONSUMERS
from souk.reactions.reconciler import reconcile
from tests.books import rows_of, run
from tests.callers import SignedIn
from tests.faults.facts import read_broken, read_facts
from tests.paying import confirm

# The event that an order was paid.
FORGOTTEN = """
DELETE FROM reactions_processed WHERE event_id = (SELECT id FROM eventlog_event WHERE type = 'payment.captured')
"""
HIDDEN = "DELETE FROM eventlog_audience WHERE type = 'payment.captured'"
# Statements that each break one rule of the invariant beside them.
DAMAGE = {
    "a counter is not that of its ledger": ("I1", "UPDATE stock_stock SET reserved = reserved + 1"),
    "an ended order holds stock": (
        "I1",
        "INSERT INTO stock_hold SELECT product_id, order_id, quantity, 'infinity' FROM orders_orderline",
    ),
    "a history has a step that its machine has not": (
        "I3",
        "UPDATE eventlog_transition SET event = 'cancel' WHERE event = 'accept'",
    ),
    "a history has a hole": ("I3", "DELETE FROM eventlog_transition WHERE event = 'confirm'"),
    "an order was confirmed after its deadline": (
        "I4",
        "UPDATE eventlog_transition SET at = at + interval '1 hour' WHERE event = 'confirm'",
    ),
    "an order waits beyond its deadline": (
        "I4",
        "UPDATE orders_order SET state = 'PENDING_CONFIRMATION', expires_at = now() - interval '6 seconds'",
    ),
    "an event was not heard": ("I5", FORGOTTEN),
    "what was heard is not in the log": ("I5", "INSERT INTO reactions_processed VALUES (1, gen_random_uuid(), now())"),
    "an event has no place in the feed": (
        "I5",
        "UPDATE eventlog_event SET position = NULL WHERE type = 'payment.captured'",
    ),
    "a reader is missing": ("I5", HIDDEN),
    "a charge is kept for an order that is not accepted": (
        "I5",
        "UPDATE orders_order SET state = 'CANCELLED'",
    ),
    "an order is accepted without a charge": ("I5", "DELETE FROM payments_providercharge"),
    "the search lacks a product": ("I6", "DELETE FROM search_product"),
    "the search has an old title": ("I6", "UPDATE search_product SET document = 'old'"),
}


@pytest.fixture
def paid_order(buyer: SignedIn, seller: SignedIn) -> str:
    """An order that was paid and accepted by way of the log; everything was heard and numbered."""
    order_id = str(buyer.order((seller.offer(), 2)).body["id"])
    assert confirm(buyer, order_id).status == 200
    while reconcile(CONSUMERS, age=timedelta(seconds=-1)):  # those of this very millisecond too
        pass
    number_events()
    return order_id


def test_a_database_that_is_whole_breaks_no_rule(paid_order: str, buyer: SignedIn, seller: SignedIn) -> None:
    facts = read_facts(rows_of, [buyer.id, seller.id])
    assert facts.broken == {}
    (order,) = facts.orders
    assert (order.id, order.state, order.events) == (paid_order, "ACCEPTED", ["place", "confirm", "accept"])
    assert [len(facts.feeds[user.id]) for user in (buyer, seller)] == [6, 5]
    assert list(facts.products.values()) == [("Walnut bowl", True)]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_row_is_told_as_the_invariant_that_it_breaks(paid_order: str, damage: str) -> None:
    invariant, statement = DAMAGE[damage]
    with transaction.atomic():
        run(statement)
        found = {named for named, _ in read_broken(rows_of)}
        transaction.set_rollback(True)
    assert invariant in found
    assert read_broken(rows_of) == {}
