"""What browsers are told beside Django's own security headers: who may call from elsewhere, what a page may do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID, traceparent"
ANSWER_HEADERS = (
    "ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, "
    "X-Request-ID"
)
# Pages that need more (the documentation with its scripts) set their own.
POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class BrowserRules:
    """Middleware: a Content-Security-Policy on every answer; CORS for the listed origins, never with credentials.

    Tokens travel in a header that a page must set itself, so there is no cookie that another origin could ride on.
    """

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        origin = request.headers.get("Origin")
        allowed = origin is not None and origin in settings.CORS_ORIGINS
        preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        response = HttpResponse(status=204) if preflight and allowed else self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        if settings.CORS_ORIGINS:
            response["Vary"] = ", ".join(filter(None, [response.get("Vary"), "Origin"]))
        if origin is not None and allowed:
            response["Access-Control-Allow-Origin"] = origin
            response["Access-Control-Expose-Headers"] = ANSWER_HEADERS
            if preflight:
                response["Access-Control-Allow-Methods"] = METHODS
                response["Access-Control-Allow-Headers"] = REQUEST_HEADERS
                response["Access-Control-Max-Age"] = "600"
        return response
