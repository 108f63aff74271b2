"""Prometheus measures that every process shares. Labels are bounded: routes, methods, states; no ids, no user text."""

from __future__ import annotations

from functools import cache
from typing import Any

from prometheus_client import Counter, Histogram

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

requests = Counter("souk_http_requests", "Requests answered.", ["method", "route", "status"])
request_seconds = Histogram("souk_http_request_seconds", "Time to answer a request.", ["method", "route"])
# Told by the operations of orders once their transaction is committed, by the event of the order's machine.
order_transitions = Counter("souk_order_transitions", "Changes of orders' states.", ["event"])


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    answered, took = _measures(method, route, status)
    answered.inc()
    took.observe(seconds)


@cache
def _measures(method: str, route: str, status: int) -> tuple[Any, Any]:
    return requests.labels(method, route, str(status)), request_seconds.labels(method, route)
