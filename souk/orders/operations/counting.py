"""Counting what becomes of orders, for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from typing import Any

from django.db import transaction

from souk.kit.measures import expiry_lag_seconds, order_transitions


def count_transitions(event: str, number: int = 1) -> None:
    """Count so many changes of orders by this event of their machine, when the transaction is committed."""
    transaction.on_commit(partial(_counter(event).inc, number))


def count_expiry_lags(lags: Iterable[float]) -> None:
    """Count how late orders were closed, in seconds, when the transaction is committed."""
    for lag in lags:
        transaction.on_commit(partial(expiry_lag_seconds.observe, lag))


@cache
def _counter(event: str) -> Any:
    return order_transitions.labels(event)
