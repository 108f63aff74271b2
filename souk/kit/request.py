"""Middleware: the request's id and trace, and the last net under everything that is not a view of ours."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from souk.kit import context, measures, problem
from souk.kit.entity import new_id

log = structlog.get_logger()


class RequestContext:
    """Gives every request an id (the caller's, when it is a decent one), measures it and logs one line."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        asked = request.headers.get("X-Request-ID", "")
        request_id = asked if context.REQUEST_ID.fullmatch(asked) else str(new_id())
        context.enter(request_id=request_id, traceparent=request.headers.get("traceparent"))
        began = time.perf_counter()
        response = self.get_response(request)
        took = time.perf_counter() - began
        response["X-Request-ID"] = request_id
        response["X-Content-Type-Options"] = "nosniff"
        route = request.resolver_match.route if request.resolver_match else "unmatched"
        method = request.method if request.method in measures.METHODS else "OTHER"
        measures.requests.labels(method, route, str(response.status_code)).inc()
        measures.request_seconds.labels(method, route).observe(took)
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


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    return problem.rendered(problem.MalformedRequest())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return problem.rendered(problem.NotFound())


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500."""
    return problem.rendered(problem.InternalError())
