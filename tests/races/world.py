"""A served shop under test: who plays in it, what they asked and heard, and what must be true of it all afterwards."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from django.db import connections

from bench.calling import Caller, Line
from bench.serving import make_callers, make_products
from tests.books import assert_books_agree, rows_of, run

HANDS = 16
CARD = {"payment": {"method": "card", "token": "tok_ok"}}
LATE = """
SELECT o.id, t.at, o.expires_at FROM orders_order o JOIN eventlog_transition t ON t.subject_id = o.id
 WHERE t.event IN ('confirm', 'cancel') AND t.at >= o.expires_at
"""
ENDED_WITH_HOLDS = """
SELECT o.id FROM orders_order o JOIN stock_hold h ON h.order_id = o.id
 WHERE o.state IN ('ACCEPTED', 'NOT_CONFIRMED', 'CANCELLED')
"""


@dataclass(frozen=True)
class Heard:
    """One request and its answer; `status` is None when the connection broke and the outcome is unknown."""

    caller: Caller
    method: str
    path: str
    body: Any
    key: str | None
    status: int | None
    answer: Any
    began: float
    ended: float

    @property
    def outcome(self) -> str:
        """The status, or the code of a refusal."""
        code = self.answer.get("code") if isinstance(self.answer, dict) else None
        return str(code or self.status)


@dataclass
class World:
    """One game: `seed` decides every choice; `history` has every request and answer in the order of the answers."""

    port: int
    seed: int
    history: list[Heard] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311  # repeatable on purpose
        (self.seller,) = make_callers(1, "seller")
        self._here = threading.local()
        self._lines: list[Line] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._lines:
            line.close()

    def buyers(self, number: int, *, called: str = "buyer") -> list[Caller]:
        """So many users who can buy."""
        return make_callers(number, called)

    def products(self, number: int, *, stock: int) -> list[UUID]:
        """So many products of the seller's."""
        return make_products(number, self.seller, stock=stock)

    def send(self, caller: Caller, method: str, path: str, body: Any = None, *, key: str | None = None) -> Heard:
        """Ask the API on this thread's own connection, and write down what was heard."""
        if not hasattr(self._here, "line"):
            self._here.line = Line(self.port)
            self._lines.append(self._here.line)
        began = time.time()
        try:
            status, _, raw = self._here.line.send(method, path, caller.token, body, key=key)
            heard = Heard(caller, method, path, body, key, status, _decoded(raw), began, time.time())
        except OSError:
            heard = Heard(caller, method, path, body, key, None, None, began, time.time())
        self.history.append(heard)
        return heard

    def order(self, caller: Caller, wanted: Iterable[tuple[UUID, int]], *, key: str | None = None) -> Heard:
        """Place an order of (product, quantity) pairs, in this order."""
        lines = [{"product_id": str(product), "quantity": quantity} for product, quantity in wanted]
        return self.send(caller, "POST", "/orders", {"lines": lines}, key=key)

    def confirm(self, caller: Caller, order_id: str) -> Heard:
        """Confirm with a good card."""
        return self.send(caller, "POST", f"/orders/{order_id}/confirm", CARD)

    def cancel(self, caller: Caller, order_id: str) -> Heard:
        """Cancel."""
        return self.send(caller, "POST", f"/orders/{order_id}/cancel")

    def at_once(self, jobs: Sequence[Callable[[], Any]], *, hands: int = HANDS) -> list[Any]:
        """Do the jobs, shuffled by the seed, so many at a time; what they gave, in the order of the jobs."""
        shuffled = self.chance.sample(list(enumerate(jobs)), len(jobs))
        with ThreadPoolExecutor(hands) as pool:
            given = dict(pool.map(_done, shuffled))
        return [given[place] for place in range(len(jobs))]

    def outcomes(self, path_end: str = "/orders") -> Counter[str]:
        """How often each outcome was heard at addresses that end so."""
        return Counter(heard.outcome for heard in self.history if heard.path.endswith(path_end))


def _done(numbered: tuple[int, Callable[[], Any]]) -> tuple[int, Any]:
    place, job = numbered
    try:
        return place, job()
    finally:
        connections.close_all()


def _decoded(raw: bytes) -> Any:
    return json.loads(raw) if raw else None


def check(world: World, *, allowed: set[str]) -> None:
    """Invariants I1 to I4 over the whole history and the whole database, and that no other outcome was heard."""
    heard = Counter(one.outcome for one in world.history)
    assert set(heard) <= allowed, heard
    # I1 and I3: counters = ledger = holds = open lines; each history is a path of its machine.
    assert_books_agree()
    assert rows_of(ENDED_WITH_HOLDS) == []
    # I2: every order that was answered exists once, and there is none that was not asked for.
    made = {one.answer["id"] for one in world.history if one.status == 201}
    assert {order_id for (order_id,) in rows_of("SELECT id::text FROM orders_order")} == made
    # I4: nothing was confirmed or cancelled by its buyer after the deadline, by the clock of the database.
    assert rows_of(LATE) == []


def let_fall_due(order_ids: Sequence[str], *, seconds: float) -> float:
    """Move the deadline of pending orders (and of their holds) so far ahead; when that is, by this machine's clock."""
    due = time.time() + seconds
    run("UPDATE orders_order SET expires_at = to_timestamp(%s) WHERE id = ANY(%s::uuid[])", due, list(order_ids))
    run("UPDATE stock_hold SET until = to_timestamp(%s) WHERE order_id = ANY(%s::uuid[])", due, list(order_ids))
    return due


def wait_until(moment: float) -> None:
    """Sleep until this moment of this machine's clock."""
    time.sleep(max(moment - time.time(), 0))
