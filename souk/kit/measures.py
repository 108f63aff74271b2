"""Prometheus measures that every process shares. Labels are bounded: routes, methods, states; no ids, no user text."""

from __future__ import annotations

from functools import cache
from typing import Any

from souk.kit.counting import Counter, Histogram

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

requests = Counter("souk_http_requests", "Requests answered.", ["method", "route", "status"])
request_seconds = Histogram("souk_http_request_seconds", "Time to answer a request.", ["method", "route"])
# Told by the operations of orders once their transaction is committed, by the event of the order's machine.
order_transitions = Counter("souk_order_transitions", "Changes of orders' states.", ["event"])
# Told by the operation that expires orders, for each one that it closed.
expiry_lag_seconds = Histogram(
    "souk_order_expiry_lag_seconds",
    "From an order's deadline to its closing.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300),
)
# Kinds: words, relevance, filters. A plain list is no search.
search_seconds = Histogram(
    "souk_search_seconds",
    "Time to find a page of products.",
    ["kind"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
searches_short = Counter("souk_searches_short", "Searches whose time ended before their page was full.", ["kind"])
for _kind in ("words", "relevance", "filters"):
    searches_short.labels(_kind)  # so that the first one is an increase, too
searches_respelled = Counter("souk_searches_respelled", "Searches that found something in another spelling.")
# Of the pools of worker and clock; the API has none, since each of its threads keeps its connection.
pool_requests = Counter("souk_database_pool_requests", "Connections taken from the pool.", ["process"])
pool_waits = Counter("souk_database_pool_waits", "Of these, those that had to wait for one.", ["process"])
pool_wait_seconds = Counter("souk_database_pool_wait_seconds", "How long these waited in all.", ["process"])
pool_errors = Counter("souk_database_pool_errors", "Of these, those that got none in time.", ["process"])


def count(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    answered, took = _measures(method, route, status)
    answered.inc()
    took.observe(seconds)


@cache
def _measures(method: str, route: str, status: int) -> tuple[Any, Any]:
    return requests.labels(method, route, str(status)), request_seconds.labels(method, route)
