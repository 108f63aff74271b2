"""Prometheus measures that every process shares. Labels are bounded: routes, methods, states; no ids, no user text."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

requests = Counter("souk_http_requests", "Requests answered.", ["method", "route", "status"])
request_seconds = Histogram("souk_http_request_seconds", "Time to answer a request.", ["method", "route"])
