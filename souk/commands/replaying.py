"""Replay of real orders: several buyers at once over HTTP, then the check that all books agree."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import httpx
from django.db import connection, transaction
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from souk.catalog.operations.importing import LineRefused, import_products
from souk.commands.books import disagreements
from souk.commands.client import Answer, Person, Unexpected, connect, expect
from souk.commands.olist import Fate, Plan, PlannedOrder
from souk.orders.machine import ACCEPTED, NOT_CONFIRMED
from souk.stock.operations import move_stock

IMPORT_BATCH = 1000
ORDERS_PER_BUYER = 20  # a fifth of them waits unconfirmed at once, far below what one buyer may have waiting
TOKENS = {Fate.PAID: "tok_ok", Fate.DECLINED: "tok_declined"}
END_STATES = {Fate.PAID: ACCEPTED, Fate.DECLINED: NOT_CONFIRMED, Fate.FORGOTTEN: NOT_CONFIRMED}
REASONS = {
    Fate.PAID: (None,),
    Fate.DECLINED: ("expired", "payment_declined"),
    Fate.FORGOTTEN: ("expired",),
}
# Refusals that a shop gives on an ordinary day; any other one is a fault.
ORDINARY = ("out_of_stock",)
GRACE = 60.0  # seconds without any order ending, after the last deadline, until it is given up


@dataclass(frozen=True)
class Played:
    """What one planned order came to: an order with its deadline, or the code of a refusal."""

    fate: Fate
    order_id: UUID | None = None
    expires_at: datetime | None = None
    refused: str = ""


@dataclass
class Result:
    """What a whole replay came to. `faults` are sentences; without any, everything agrees."""

    placed: int = 0
    accepted: int = 0
    expired: int = 0
    declined: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    waited: float = 0.0
    orders: int = 0
    faults: list[str] = field(default_factory=list)


def replay(plan: Plan, *, base_url: str, clients: int, console: Console) -> Result:
    """Register sellers and products, play every order with `clients` buyers at a time, wait until all ended, check.

    Raises Unexpected or httpx.HTTPError when the API is not there to play with.
    """
    with _bars(console) as bars, connect(base_url, connections=clients) as http:
        product_ids = _stock_up(plan, bars)
        buyers = _sign_up(http, math.ceil(len(plan.orders) / ORDERS_PER_BUYER), clients, bars)
        began = time.perf_counter()
        played = _play(plan, product_ids, buyers, clients, bars)
        result = Result(orders=len(played), seconds=time.perf_counter() - began)
        ends = _wait_for_ends(played, bars)
        result.waited = time.perf_counter() - began - result.seconds
    _judge(played, ends, result)
    result.faults += disagreements(product_ids)
    return result


def shown(result: Result) -> Table:
    """The closing table."""
    table = Table(title="replay", show_header=False, title_justify="left")
    table.add_row("orders played", f"{result.orders:,}")
    table.add_row("placed", f"{result.placed:,}")
    table.add_row("accepted", f"{result.accepted:,}")
    table.add_row("expired unconfirmed", f"{result.expired:,}")
    table.add_row("expired after a declined payment", f"{result.declined:,}")
    for code, count in result.refused.most_common():
        table.add_row(f"refused: {code}", f"{count:,}")
    table.add_row("seconds of placing and confirming", f"{result.seconds:,.1f}")
    table.add_row("orders/s", f"{result.orders / max(result.seconds, 1e-9):,.1f}")
    table.add_row("seconds waited for the last to end", f"{result.waited:,.1f}")
    table.add_row("stock, ledger and orders", "[red]DISAGREE[/]" if result.faults else "[green]agree[/]")
    return table


def _stock_up(plan: Plan, bars: Progress) -> list[UUID]:
    """Import the plan's products and receive what is missing to the stock that the plan wants. Ids in plan order."""
    task = bars.add_task("products", total=len(plan.products))
    ids: list[UUID] = []
    for start in range(0, len(plan.products), IMPORT_BATCH):
        lines = plan.products[start : start + IMPORT_BATCH]
        outcomes = import_products(lines=lines).outcomes
        for outcome in outcomes:
            if isinstance(outcome, LineRefused):
                raise Unexpected(f"a product of the replay was refused: {outcome.reason}")
            ids.append(outcome.product_id)
        bars.advance(task, len(lines))
    wanted = dict(zip(ids, plan.available, strict=True))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT product_id, on_hand - reserved FROM stock_stock WHERE product_id = ANY(%s)"
            " ORDER BY product_id FOR NO KEY UPDATE",
            [ids],
        )
        for product_id, available in cursor.fetchall():
            if available < wanted[product_id]:
                missing = wanted[product_id] - available
                move_stock(product_id=product_id, change=missing, reason="received", note=None, actor="system")
    return ids


def _sign_up(http: httpx.Client, count: int, clients: int, bars: Progress) -> list[Person]:
    task = bars.add_task("buyers", total=count)

    def one(number: int) -> Person:
        buyer = Person.sign_up(http, prefix="replay", display_name=f"Buyer {number + 1} of a replay")
        buyer.sign_in()
        bars.advance(task)
        return buyer

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(one, range(count)))


def _play(
    plan: Plan, product_ids: Sequence[UUID], buyers: Sequence[Person], clients: int, bars: Progress
) -> list[Played]:
    task = bars.add_task("orders", total=len(plan.orders))
    with ThreadPoolExecutor(clients) as pool:
        futures = [
            pool.submit(_play_one, order, product_ids, buyers[number % len(buyers)])
            for number, order in enumerate(plan.orders)
        ]
        for _ in as_completed(futures):
            bars.advance(task)
        return [future.result() for future in futures]


def _play_one(order: PlannedOrder, product_ids: Sequence[UUID], buyer: Person) -> Played:
    try:
        return _bought(order, product_ids, buyer)
    except httpx.HTTPError as broken:
        return Played(order.fate, refused=f"no answer: {type(broken).__name__}")


def _bought(order: PlannedOrder, product_ids: Sequence[UUID], buyer: Person) -> Played:
    lines = [{"product_id": str(product_ids[at]), "quantity": quantity} for at, quantity in order.wanted]
    placed = buyer.ask("POST", "/orders", json={"lines": lines})
    if placed.status != 201:
        return Played(order.fate, refused=placed.code)
    order_id, expires_at = UUID(placed.body["id"]), datetime.fromisoformat(placed.body["expires_at"])
    if order.fate in TOKENS:
        payment = {"payment": {"method": "card", "token": TOKENS[order.fate]}}
        confirmed = _confirmed(buyer.ask("POST", f"/orders/{order_id}/confirm", json=payment))
        if confirmed:
            return Played(order.fate, order_id, expires_at, refused=f"confirm: {confirmed}")
    return Played(order.fate, order_id, expires_at)


def _confirmed(answer: Answer) -> str:
    """An empty string when the confirmation was taken, else the code."""
    return "" if answer.status == 200 and expect(answer, 200)["state"] == "CONFIRMED" else answer.code


def _wait_for_ends(played: Sequence[Played], bars: Progress) -> dict[UUID, tuple[str, str | None]]:
    """State and reason of every placed order, once all have ended or nothing more happens."""
    ids = [one.order_id for one in played if one.order_id]
    last = max((one.expires_at for one in played if one.expires_at), default=datetime.now(UTC))
    task = bars.add_task("ended", total=len(ids))
    ended, changed = -1, time.monotonic()
    while True:
        found = _states(ids)
        count = sum(state in (ACCEPTED, NOT_CONFIRMED) for state, _ in found.values())
        bars.update(task, completed=count)
        if count > ended:
            ended, changed = count, time.monotonic()
        overdue = (datetime.now(UTC) - last).total_seconds()
        if count == len(ids) or (overdue > 0 and min(overdue, time.monotonic() - changed) > GRACE):
            return found
        time.sleep(0.5)


def _states(ids: Sequence[UUID]) -> dict[UUID, tuple[str, str | None]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, state, reason FROM orders_order WHERE id = ANY(%s)", [list(ids)])
        return {order_id: (state, reason) for order_id, state, reason in cursor.fetchall()}


def _judge(played: Sequence[Played], ends: dict[UUID, tuple[str, str | None]], result: Result) -> None:
    """Count what happened, and hold every order to the end that its fate demands."""
    for one in played:
        if one.refused:
            result.refused[one.refused] += 1
        if one.order_id is None:
            if one.refused not in ORDINARY:
                result.faults.append(f"an order was refused: {one.refused}")
            continue
        result.placed += 1
        state, reason = ends[one.order_id]
        if one.refused or state != END_STATES[one.fate] or reason not in REASONS[one.fate]:
            told = f"{one.refused} " if one.refused else ""
            result.faults.append(f"order {one.order_id} ({one.fate}) {told}ended {state}, reason {reason}")
        result.accepted += state == ACCEPTED
        result.expired += state == NOT_CONFIRMED and one.fate is Fate.FORGOTTEN
        result.declined += state == NOT_CONFIRMED and one.fate is Fate.DECLINED


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    columns = TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as bars:
        yield bars
