"""The one middleware: the request's id and trace, what every answer carries, and the last net under every view.

Django's own middleware for hosts, security headers and frames is left out of the chain and its work done here: each
layer of the chain costs as much as all of these headers. A test compares the headers with what Django's would set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from souk.kit import context, measures, problem
from souk.kit.browsers import POLICY, allow_origin, preflight, tell_caches
from souk.kit.compression import compress
from souk.kit.ratelimit import rate_limit_headers

log = structlog.get_logger()

# Lower case -> as it is sent. What a view has set itself stays.
ALWAYS = {
    name.lower(): (name, value)
    for name, value in {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Content-Security-Policy": POLICY,
    }.items()
}
REQUEST_ID = "x-request-id"


class RequestContext:
    """Gives every request an id (the caller's, when it is a decent one), measures it and logs one line."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        told = request.META
        request_id = context.enter_request(
            asked_id=told.get("HTTP_X_REQUEST_ID", ""), traceparent=told.get("HTTP_TRACEPARENT")
        )
        began = time.perf_counter()
        if not _is_ours(request.META.get("HTTP_HOST"), tuple(settings.ALLOWED_HOSTS), settings.DEBUG, request):
            response: HttpResponseBase = problem.rendered(problem.MalformedRequest())
        else:
            response = preflight(request) or self.get_response(request)
        took = time.perf_counter() - began
        finish(request, response, request_id)
        route = request.resolver_match.route if request.resolver_match else "unmatched"
        method = request.method if request.method in measures.METHODS else "OTHER"
        measures.count(method, route, response.status_code, took)
        log.info(
            "request",
            method=method,
            route=route,
            status=response.status_code,
            milliseconds=round(took * 1000, 1),
            request_id=request_id,
        )
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse:
        return problem.rendered(problem.refusal_of(error))


def finish(request: HttpRequest, response: HttpResponseBase, request_id: str) -> None:
    """Set what every answer carries."""
    # Where the headers lie: names and values here are known to be fit for a header, which setting one checks anew.
    headers: dict[str, Any] = response.headers._store
    for name, header in ALWAYS.items():
        if name not in headers:
            headers[name] = header
    headers[REQUEST_ID] = ("X-Request-ID", request_id)
    tell_caches(request, response)
    compress(request, response)
    if response.status_code == 304:  # of what it does not bring it tells neither type nor length (RFC 9110, 15.4.5)
        headers.pop("content-type", None)
    elif not response.streaming and "content-length" not in headers:
        headers["content-length"] = ("Content-Length", str(len(response.content)))  # type: ignore[attr-defined]  # it does not stream
    for name, value in rate_limit_headers(request):
        headers.setdefault(name.lower(), (name, value))
    if settings.SECURE_HSTS_SECONDS and request.is_secure():
        response.headers.setdefault("Strict-Transport-Security", f"max-age={settings.SECURE_HSTS_SECONDS}")
    allow_origin(request, response)


@lru_cache(maxsize=256)
def _is_known(host: str, allowed: tuple[str, ...], debug: bool) -> bool:
    request = HttpRequest()
    request.META["HTTP_HOST"] = host
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True


def _is_ours(host: str | None, allowed: tuple[str, ...], debug: bool, request: HttpRequest) -> bool:
    """Whether the request is for a host of ALLOWED_HOSTS; Django judges, once for each name."""
    if host is not None:
        return _is_known(host, allowed, debug)
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    return problem.rendered(problem.MalformedRequest())


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500."""
    return problem.rendered(problem.InternalError())
