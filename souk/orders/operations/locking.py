"""Finding the order that an operation is about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from types import GenericAlias
from typing import Any
from uuid import UUID

import msgspec

from souk.accounts.models import User
from souk.kit.entity import columns_of, rows_of
from souk.kit.postgresql.prepared import prepared_rows
from souk.kit.problem import NotFound
from souk.orders.models import Order, OrderLine


def lock_order(*, order_id: UUID) -> Order:
    """The order with its lines, locked until the transaction ends. Raises NotFound."""
    return _locked("", {"id": order_id})


def lock_own_order(*, order_id: UUID, buyer: User) -> Order:
    """The buyer's order with its lines, locked until the transaction ends. Raises NotFound for everybody else's."""
    return _locked("AND o.buyer_id = %(buyer)s", {"id": order_id, "buyer": buyer.pk})


def _locked(also: str, parameters: Mapping[str, UUID]) -> Order:
    found = prepared_rows(_statement(also), parameters)
    if not found:
        raise NotFound
    *columns, lines = found[0]
    (order,) = rows_of(Order, [columns])
    # They never change, so it does not matter that they may be read before the lock is won.
    order.lines = rows_of(OrderLine, _lines().decode(lines))
    return order


@cache
def _statement(also: str) -> str:
    columns = ", ".join(f"o.{name}" for name in columns_of(Order))
    of_line = ", ".join(f"l.{name}" for name in columns_of(OrderLine))
    return f"""
        SELECT {columns}, (
                   SELECT coalesce(jsonb_agg(jsonb_build_array({of_line}) ORDER BY l.number), '[]')::text
                     FROM orders_orderline l WHERE l.order_id = o.id AND l.deleted IS NULL)
          FROM orders_order o WHERE o.id = %(id)s AND o.deleted IS NULL {also} FOR NO KEY UPDATE OF o
    """  # noqa: S608  # the code's own words


@cache
def _lines() -> msgspec.json.Decoder[list[tuple[Any, ...]]]:
    """What reads the columns of lines out of JSON."""
    kinds: dict[str, Any] = {"UUIDField": UUID, "ForeignKey": UUID, "DateTimeField": datetime | None}
    line = GenericAlias(tuple, tuple(kinds.get(type(field).__name__, Any) for field in OrderLine._meta.concrete_fields))
    return msgspec.json.Decoder(GenericAlias(list, line))
