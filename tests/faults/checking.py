"""The invariants I1 to I8 over the whole history of a round and what the database says at its end. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.faults.facts import Facts, OrderFact
from tests.faults.history import Asked

INVARIANTS = {
    "I1": "stock is never negative, and counters, ledger, holds and open lines agree",
    "I2": "what was acknowledged is there once; what nobody knows the outcome of is there once or not at all",
    "I3": "every history is a path of its machine",
    "I4": "nothing waits 5 s beyond its deadline, nothing is confirmed after it",
    "I5": "every consumer has heard every event once, and the feed shows each once, in order",
    "I6": "the search shows what the database has",
    "I7": "no 5xx but 503, and that only while something is down",
    "I8": "no token works after it was revoked, its password changed or its account deleted",
}
LATE_SECONDS = 5.0


@dataclass(frozen=True)
class Violation:
    """Which invariant does not hold, and what shows it."""

    invariant: str
    text: str


def violations(history: Sequence[Asked], facts: Facts) -> list[Violation]:
    """Everything that is not as it must be."""
    found = [
        Violation(invariant, f"{rule}: {len(rows)} rows, such as {rows[0]}")
        for (invariant, rule), rows in facts.broken.items()
    ]
    found += [Violation("I5", f"not settled in time: {what}: {count}") for what, count in facts.left.items()]
    for check in (orders_once, verbs_kept, movements_once, titles_kept, expired_in_time, feeds_whole, list_is_whole):
        found += check(history, facts)
    found += [*listeners_whole(facts), *streams_whole(facts)]
    return [*found, *answers_allowed(history, facts), *tokens_stay_dead(history)]


def orders_once(history: Sequence[Asked], facts: Facts) -> Iterator[Violation]:
    """I2 for orders: each key gave one order or none, every answered one is there, and no other is."""
    answered: dict[str, set[str]] = defaultdict(set)
    bodies: dict[str, Asked] = {}
    for asked in history:
        if asked.method == "POST" and asked.path == "/orders" and asked.key:
            bodies[asked.key] = asked
            if asked.status == 201:
                answered[asked.key].add(str(asked.answer["id"]))
    for key, ids in answered.items():
        if len(ids) > 1:
            yield Violation("I2", f"the key {key} made {len(ids)} orders: {sorted(ids)}")
    there = {order.id: order for order in facts.orders}
    told = {one for ids in answered.values() for one in ids}
    for gone in sorted(told - there.keys()):
        yield Violation("I2", f"the order {gone} was acknowledged and is not there")
    settled = {asked.key for asked in history if asked.settled}
    open_keys = Counter(_signature(asked) for key, asked in bodies.items() if key not in settled)
    for order in (order for order_id, order in there.items() if order_id not in told):
        open_keys[order.buyer, *order.lines] -= 1
        if open_keys[order.buyer, *order.lines] < 0:
            yield Violation("I2", f"the order {order.id} was made, and no request can have made it")


def _signature(asked: Asked) -> tuple[object, ...]:
    merged: Counter[str] = Counter()
    for line in asked.body["lines"]:
        merged[line["product_id"]] += line["quantity"]
    return (asked.user, *sorted(merged.items()))


def verbs_kept(history: Sequence[Asked], facts: Facts) -> Iterator[Violation]:
    """I2 for confirm and cancel: what was acknowledged is part of the order's history."""
    there: dict[str, OrderFact] = {order.id: order for order in facts.orders}
    acknowledged: Counter[tuple[str, str]] = Counter()
    for asked in _one_per_key(history):
        if found := re.fullmatch(r"/orders/([^/]+)/(confirm|cancel)", asked.path):
            acknowledged[found[1], found[2]] += 1
    for (order_id, verb), times in acknowledged.items():
        events = there[order_id].events if order_id in there else []
        if events.count(verb) < times:
            yield Violation("I2", f"{verb} of {order_id} was acknowledged {times} times, its history has {events}")


def movements_once(history: Sequence[Asked], facts: Facts) -> Iterator[Violation]:
    """I2 for deliveries of goods, each of which has its key as its note."""
    acknowledged = {asked.key for asked in history if asked.done and asked.path.endswith("/stock-movements")}
    for note, count in facts.notes.items():
        if count > 1:
            yield Violation("I2", f"the delivery {note} was counted {count} times")
    for note in sorted(str(one) for one in acknowledged):
        if not facts.notes[note]:
            yield Violation("I2", f"the delivery {note} was acknowledged and is not in the ledger")


def titles_kept(history: Sequence[Asked], facts: Facts) -> Iterator[Violation]:
    """I2 for edits: the last acknowledged title stands, or one that was asked for after it."""
    asked_of: dict[str, list[Asked]] = defaultdict(list)
    for asked in history:
        if asked.method == "PATCH" and asked.path.startswith("/products/"):
            asked_of[asked.path.rpartition("/")[2]].append(asked)
    for product, edits in asked_of.items():
        last = max((place for place, edit in enumerate(edits) if edit.done), default=None)
        possible = {edit.body["title"] for edit in edits[last or 0 :] if edit.done or not edit.settled}
        title = facts.products.get(product, ("", False))[0]
        if last is not None and title not in possible:
            yield Violation("I2", f"{product} is called {title}, and not one of {sorted(possible)}")


def expired_in_time(history: Sequence[Asked], facts: Facts) -> Iterator[Violation]:
    """I4 for orders that fell due once everything ran again: closed within 5 s."""
    for order in facts.orders:
        late = (order.closed_at or 0) - order.expires_at
        if "expire" in order.events and order.expires_at > facts.well_at and late > LATE_SECONDS:
            yield Violation("I4", f"the order {order.id} was closed {late:.1f} s after its deadline")


def feeds_whole(history: Sequence[Asked], facts: Facts) -> Iterator[Violation]:
    """I5 for readers of the feed: what the API shows is what they may see, each once, in the order of positions."""
    for reader, shown in facts.shown_feeds.items():
        known = facts.feeds.get(reader, [])
        if shown != known:
            missing, extra = set(known) - set(shown), set(shown) - set(known)
            yield Violation(
                "I5",
                f"the feed of {reader} has {len(shown)} events, the log {len(known)} for them:"
                f" {len(missing)} missing, {len(extra)} strange, {len(shown) - len(set(shown))} twice",
            )


def listeners_whole(facts: Facts) -> Iterator[Violation]:
    """I5 for who is told: a live connection each event once and in order, a webhook each at least once."""
    if facts.live:
        known = facts.feeds.get(facts.live.reader, [])[facts.live.before :]
        if facts.live.ids != known:
            yield Violation("I5", f"the live connections told {_differ(facts.live.ids, known)}")
    if facts.hooked:
        known = facts.feeds.get(facts.hooked.reader, [])[facts.hooked.before :]
        if set(facts.hooked.ids) != set(known):
            yield Violation("I5", f"the webhook was sent {_differ(facts.hooked.ids, known)}")


def streams_whole(facts: Facts) -> Iterator[Violation]:
    """I5 for the fast path, under faults that leave entries alone: none is counted as read and never added."""
    if facts.passed_by:
        yield Violation("I5", f"{len(facts.passed_by)} events came by no stream, such as {facts.passed_by[0]}")


def _differ(told: Sequence[str], known: Sequence[str]) -> str:
    missing, strange = [one for one in known if one not in set(told)], set(told) - set(known)
    return (
        f"{len(told)} events, the log has {len(known)}: {len(missing)} missing {missing[:2]}, {len(strange)} strange,"
        f" {len(told) - len(set(told))} twice, in order: {list(told) == [one for one in known if one in set(told)]}"
    )


def list_is_whole(history: Sequence[Asked], facts: Facts) -> Iterator[Violation]:
    """I6 over HTTP: the seller's list has the products that everybody can see."""
    seen = sorted(product for product, (_, is_seen) in facts.products.items() if is_seen)
    if facts.listed != seen:
        yield Violation("I6", f"the list shows {facts.listed}, the database has {seen}")


def answers_allowed(history: Sequence[Asked], facts: Facts) -> Iterator[Violation]:
    """I7: 503 and broken connections in the windows of a fault alone, other defects never."""
    for asked in history:
        if asked.status is not None and asked.status < 500:
            continue
        within = any(asked.began <= end and asked.ended >= start for start, end in facts.windows)
        disturbed = within and re.search(facts.disturbed, asked.path)
        if asked.status not in (None, 503) or not disturbed:
            told = "no answer" if asked.status is None else f"{asked.status} {asked.code}"
            yield Violation("I7", f"{asked.method} {asked.path}: {told} at {asked.began:.1f}-{asked.ended:.1f}")


def tokens_stay_dead(history: Sequence[Asked]) -> Iterator[Violation]:
    """I8: whoever asks with a token after its end was acknowledged is told 401."""
    dead: dict[str, float] = {}
    for asked in history:
        if asked.done:
            for token in asked.ends:
                dead[token] = min(asked.ended, dead.get(token, asked.ended))
    for asked in history:
        if asked.token in dead and asked.began > dead[asked.token] and asked.status not in (401, 503, None):
            yield Violation("I8", f"{asked.method} {asked.path}: {asked.status} with the ended token {asked.token}")


def _one_per_key(history: Sequence[Asked]) -> Iterator[Asked]:
    seen: set[str] = set()
    for asked in history:
        if asked.done and asked.key and asked.key not in seen:
            seen.add(asked.key)
            yield asked
