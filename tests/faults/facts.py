"""What the database says at the end of a round, read so that the checker itself needs no database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from souk.bags.machine import BagMachine
from souk.catalog.machine import ProductMachine
from souk.kit.machine import Life, initial_state, transitions_of
from souk.orders.machine import OrderMachine
from souk.payments.machine import PaymentMachine
from souk.reactions.consumers import CONSUMERS
from tests.books import RULES
from tests.faults.listening import Heard

Ask = Callable[..., list[tuple[Any, ...]]]
MACHINES: dict[str, type[Life]] = {
    "order": OrderMachine, "payment": PaymentMachine, "product": ProductMachine, "bag": BagMachine,
}  # fmt: skip
NO_ID = "00000000-0000-0000-0000-000000000000"
# Which invariant each rule of the books belongs to, by its first words; those of stock and orders are I1.
OF_RULE = {"the events": "I5", "the history": "I3", "positions": "I5", "an order is paid": "I5"}

# Each gives rows that break the invariant. %s is the consumers' numbers, or nothing.
UNHEARD = """
SELECT c.number, e.type, e.id
  FROM unnest(%s::integer[], %s::text[]) AS c (number, types)
  JOIN eventlog_event e ON e.type = ANY (string_to_array(c.types, ','))
 WHERE e.id > coalesce((SELECT b.after FROM reactions_beginning b WHERE b.consumer = c.number), %s::uuid)
   AND NOT EXISTS (SELECT 1 FROM reactions_processed p WHERE p.consumer = c.number AND p.event_id = e.id)
 LIMIT 20
"""
BROKEN = {
    "I1": {
        "a hold belongs to an order that is open": """
            SELECT o.id, o.state FROM orders_order o JOIN stock_hold h ON h.order_id = o.id
             WHERE o.state IN ('ACCEPTED', 'NOT_CONFIRMED', 'CANCELLED')""",
    },
    "I4": {
        "no order waits longer than 5 s beyond its deadline": """
            SELECT id, expires_at, clock_timestamp() FROM orders_order
             WHERE state = 'PENDING_CONFIRMATION' AND expires_at < clock_timestamp() - interval '5 seconds'""",
        "nothing is confirmed or cancelled after the deadline": """
            SELECT o.id, t.event, t.at, o.expires_at
              FROM orders_order o JOIN eventlog_transition t ON t.subject_id = o.id
             WHERE t.event IN ('confirm', 'cancel') AND t.at >= o.expires_at""",
        "nothing expires before its deadline": """
            SELECT o.id, t.at, o.expires_at FROM orders_order o JOIN eventlog_transition t ON t.subject_id = o.id
             WHERE t.event = 'expire' AND t.at < o.expires_at""",
    },
    "I5": {
        "what was heard stands in the log": """
            SELECT p.consumer, p.event_id FROM reactions_processed p
             WHERE NOT EXISTS (SELECT 1 FROM eventlog_event e WHERE e.id = p.event_id)""",
        "there is no dead letter: nothing here is poison": """
            SELECT consumer, event_id, left(error, 200) FROM reactions_deadletter""",
        "every event has its place in the feed": "SELECT id, type FROM eventlog_event WHERE position IS NULL",
        "a payment is charged once, and kept only for an accepted order": """
            SELECT p.id, p.state, o.state FROM payments_payment p
              JOIN payments_providercharge c ON c.key = p.id AND NOT c.refunded
              JOIN orders_order o ON o.id = p.reference WHERE p.state <> 'CAPTURED' OR o.state <> 'ACCEPTED'""",
        "no confirmed order is left without an answer": """
            SELECT id, updated FROM orders_order WHERE state = 'CONFIRMED'""",
    },
    "I6": {
        "the search has every product as it is": """
            SELECT * FROM product_documents(ARRAY(SELECT id FROM catalog_product))
            EXCEPT SELECT * FROM search_product""",
        "the search has no product that is not": """
            SELECT * FROM search_product
            EXCEPT SELECT * FROM product_documents(ARRAY(SELECT id FROM catalog_product))""",
    },
}  # fmt: skip


@dataclass
class OrderFact:
    """An order as it ended: its lines as (product, quantity), and the events of its history."""

    id: str
    buyer: str
    state: str
    lines: list[tuple[str, int]]
    events: list[str]
    expires_at: float
    closed_at: float | None


@dataclass
class Facts:
    """`broken`: rows by (invariant, rule). `notes`: movements by their note. `feeds`: event ids by user, in order.

    `products`: title, and whether everybody can see it, by id. `listed`: what the API lists of the seller's products.
    `windows`: spans of this machine's clock in which the API may say 503 or nothing, at the addresses that the pattern
    `disturbed` matches. `well_at`: since when all ran. `live`, `hooked`: what a live connection and a webhook told.
    `passed_by`: events that came by no stream, where they should have.
    """

    orders: list[OrderFact] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    products: dict[str, tuple[str, bool]] = field(default_factory=dict)
    feeds: dict[str, list[str]] = field(default_factory=dict)
    broken: dict[tuple[str, str], list[tuple[Any, ...]]] = field(default_factory=dict)
    left: dict[str, Any] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    shown_feeds: dict[str, list[str]] = field(default_factory=dict)
    live: Heard | None = None
    hooked: Heard | None = None
    passed_by: list[str] = field(default_factory=list)
    windows: list[tuple[float, float]] = field(default_factory=list)
    disturbed: str = ""
    well_at: float = 0.0


def read_facts(ask: Ask, users: Sequence[str]) -> Facts:
    """What the database says of these users, and which rules are broken anywhere."""
    here = list(users)
    return Facts(
        orders=[_order(*row) for row in ask(ORDERS, here)],
        notes=Counter(
            note
            for (note,) in ask(
                "SELECT m.note FROM stock_movement m JOIN stock_stock s USING (product_id)"
                " WHERE s.owner_id = ANY(%s::uuid[]) AND m.note <> ''",
                here,
            )
        ),
        products={
            product: (title, seen)
            for product, title, seen in ask(
                "SELECT id::text, title, state = 'ACTIVE' AND deleted IS NULL FROM catalog_product"
                " WHERE seller_id = ANY(%s::uuid[])",
                here,
            )
        },
        feeds=_feeds(ask, here),
        broken=read_broken(ask),
    )


ORDERS = """
SELECT o.id::text, o.buyer_id::text, o.state, o.expires_at, o.closed_at,
       ARRAY(SELECT l.product_id::text || ' ' || l.quantity FROM orders_orderline l WHERE l.order_id = o.id),
       ARRAY(SELECT t.event FROM eventlog_transition t WHERE t.subject_id = o.id ORDER BY t.sequence)
  FROM orders_order o WHERE o.buyer_id = ANY(%s::uuid[]) ORDER BY o.id
"""


def _order(
    order_id: str,
    buyer: str,
    state: str,
    expires: datetime,
    closed: datetime | None,
    lines: list[str],
    events: list[str],
) -> OrderFact:
    pairs = sorted((product, int(quantity)) for product, quantity in (line.split() for line in lines))
    return OrderFact(order_id, buyer, state, pairs, events, expires.timestamp(), closed.timestamp() if closed else None)


def _feeds(ask: Ask, users: list[str]) -> dict[str, list[str]]:
    feeds: dict[str, list[str]] = {}
    for user, event in ask(
        "SELECT u::text, e.id::text FROM eventlog_event e, unnest(%s::uuid[]) AS u WHERE u = ANY (e.audience)"
        " ORDER BY u, e.position",
        users,
    ):
        feeds.setdefault(user, []).append(event)
    return feeds


def read_broken(ask: Ask) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Every rule that is broken now, with the rows that break it."""
    broken: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for rule, sql in RULES.items():
        named = next((invariant for start, invariant in OF_RULE.items() if rule.startswith(start)), "I1")
        broken[named, rule] = ask(_as_text(sql))
    for invariant, rules in BROKEN.items():
        for rule, sql in rules.items():
            broken[invariant, rule] = ask(_as_text(sql))
    broken["I5", "every consumer has heard every event"] = unheard(ask)
    broken["I3", "every step of a history is one that its machine has"] = _strange_steps(ask)
    return {key: rows for key, rows in broken.items() if rows}


def _as_text(sql: str) -> str:
    # Holds that stand for good end at `infinity`, which Python has no moment for.
    return f"SELECT left(found::text, 300) FROM ({sql}) AS found LIMIT 20"  # noqa: S608  # our own statements


def unheard(ask: Ask) -> list[tuple[Any, ...]]:
    """Consumer, type and id of events (some of them) that a consumer has not heard."""
    numbers = [consumer.number for consumer in CONSUMERS]
    return ask(UNHEARD, numbers, [",".join(consumer.types()) for consumer in CONSUMERS], NO_ID)


def _strange_steps(ask: Ask) -> list[tuple[Any, ...]]:
    known = {
        (kind, source, event, target)
        for kind, machine in MACHINES.items()
        for event, moves in transitions_of(machine).items()
        for source, target in moves.items()
    }
    steps = ask("SELECT DISTINCT subject_type, source, event, target FROM eventlog_transition ORDER BY 1, 2, 3, 4")
    return [step for step in steps if step not in known and not _is_beginning(*step)]


def _is_beginning(kind: str, source: str | None, event: str, target: str) -> bool:
    if kind not in MACHINES:
        return True
    # A product may begin its life drafted or offered at once.
    return source is None and (target == initial_state(MACHINES[kind]) or kind == "product")
