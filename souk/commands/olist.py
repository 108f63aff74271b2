"""Real orders of the Olist marketplace (Brazil, 2016 to 2018) as products to import and orders to play.

The orders file is `orders.jsonl.gz`; `products.csv.gz` and `sellers.csv.gz` are looked for beside it. The sellers and
products have no names there: a seller is called by its town, a product by its category, each with the head of its id.
"""

from __future__ import annotations

import csv
import gzip
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec

from souk.catalog.operations.importing import Line
from souk.commands.linefile import LineFile, LineTooLong

CURRENCY = "BRL"
# One product in twenty has a unit less than the orders ask for, so that refusals are part of the play.
SCARCE = 20


class OlistLine(msgspec.Struct):
    """A line of a real order; freight is left out."""

    product_id: str
    seller_id: str
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    unit_price_cents: Annotated[int, msgspec.Meta(ge=0)]


class OlistOrder(msgspec.Struct):
    """A real order; dates and payments are left out."""

    order_id: str
    lines: Annotated[list[OlistLine], msgspec.Meta(min_length=1, max_length=100)]


class Fate(StrEnum):
    """What the buyer does after placing."""

    PAID = "paid"
    DECLINED = "declined"
    FORGOTTEN = "forgotten"


@dataclass(frozen=True)
class PlannedOrder:
    """An order to play: indices into the plan's products with quantities, and what becomes of it."""

    wanted: tuple[tuple[int, int], ...]
    fate: Fate


@dataclass(frozen=True)
class Plan:
    """Everything to play. The lines say a stock of 0: `available[i]` of `products[i]` must be there at the start."""

    products: Sequence[Line]
    available: Sequence[int]
    orders: Sequence[PlannedOrder]


class BadOrders(Exception):
    """The file holds something else than Olist's orders."""


def plan_of(path: Path, *, limit: int, seed: int) -> Plan:
    """The first `limit` orders of the file (0: all); `seed` draws a tenth to be forgotten and a tenth to be declined.

    Raises BadOrders, BrokenFile.
    """
    orders = list(_orders(path, limit))
    chance = random.Random(seed)  # noqa: S311  # draws roles in a play, guards nothing
    tenth = len(orders) // 10
    fates = [Fate.FORGOTTEN] * tenth + [Fate.DECLINED] * tenth
    fates += [Fate.PAID] * (len(orders) - len(fates))
    chance.shuffle(fates)
    distinct = _distinct(orders)
    index = {(line.product_id, line.seller_id): at for at, line in enumerate(distinct)}
    planned = []
    for order, fate in zip(orders, fates, strict=True):
        wanted = tuple((index[line.product_id, line.seller_id], line.quantity) for line in order.lines)
        planned.append(PlannedOrder(wanted, fate))
    return Plan(_products(distinct, path.parent), _available(distinct, orders, chance), planned)


def _orders(path: Path, limit: int) -> Iterator[OlistOrder]:
    decoder = msgspec.json.Decoder(OlistOrder)
    with LineFile(path) as file:
        for count, (number, line) in enumerate(file.lines()):
            if limit and count >= limit:
                return
            if isinstance(line, LineTooLong):
                raise BadOrders(f"line {number}: {line}")
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError as error:
                raise BadOrders(f"line {number}: {error}") from error


def _distinct(orders: Sequence[OlistOrder]) -> list[OlistLine]:
    """The first line of every (product, seller): a product that two sellers sold is two products here."""
    first: dict[tuple[str, str], OlistLine] = {}
    for order in orders:
        for line in order.lines:
            first.setdefault((line.product_id, line.seller_id), line)
    return list(first.values())


def _available(distinct: Sequence[OlistLine], orders: Sequence[OlistOrder], chance: random.Random) -> list[int]:
    """What the orders ask for of each product, one less where `chance` makes it scarce."""
    demand: Counter[tuple[str, str]] = Counter()
    for order in orders:
        for line in order.lines:
            demand[line.product_id, line.seller_id] += line.quantity
    return [demand[line.product_id, line.seller_id] - (chance.randrange(SCARCE) == 0) for line in distinct]


def _products(distinct: Sequence[OlistLine], folder: Path) -> list[Line]:
    categories = _table(folder / "products.csv.gz", "product_id")
    towns = _table(folder / "sellers.csv.gz", "seller_id")
    return [_product(line, categories, towns) for line in distinct]


def _product(
    line: OlistLine, categories: Mapping[str, Mapping[str, str]], towns: Mapping[str, Mapping[str, str]]
) -> Line:
    about = categories.get(line.product_id, {})
    category = about.get("category_en") or about.get("category_pt") or "various"
    words = category.replace("_", " ")
    town = towns.get(line.seller_id, {}).get("city", "Loja").title()
    weight = f" {about['weight_g']} g." if about.get("weight_g") else ""
    return Line(
        external_id=line.product_id,
        seller=f"{town[:60]} {line.seller_id[:8]}",
        title=f"{words.capitalize()} {line.product_id[:8]}",
        description=f"A product of the category {words}.{weight}",
        amount=line.unit_price_cents,
        currency=CURRENCY,
        stock=0,
        tags=(category.replace("_", "-").lower(),),
    )


def _table(path: Path, key: str) -> dict[str, dict[str, str]]:
    """A CSV file by one of its columns; empty when the file is not there."""
    if not path.exists():
        return {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as rows:
        return {row[key]: row for row in csv.DictReader(rows)}
