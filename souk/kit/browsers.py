"""What browsers and caches are told beside Django's own security headers: who may call from elsewhere, what a page may
do, and for how long an answer may be kept."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID, traceparent"
ANSWER_HEADERS = (
    "ETag, Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, "
    "X-Request-ID"
)
API = "/api/v1/"
# A read that a stranger was answered is everybody's, for so long that a crowd asks once, and no longer.
PUBLIC, PRIVATE = "public, max-age=2", "no-store"
# Pages that need more (the documentation with its scripts) set their own.
POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def preflight(request: HttpRequest) -> HttpResponse | None:
    """The answer to a browser that asks whether a page of a listed origin may call; None for everything else."""
    meta = request.META
    if request.method != "OPTIONS" or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in meta:
        return None
    if meta.get("HTTP_ORIGIN") not in settings.CORS_ORIGINS:
        return None
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = METHODS
    response["Access-Control-Allow-Headers"] = REQUEST_HEADERS
    response["Access-Control-Max-Age"] = "600"
    return response


def allow_origin(request: HttpRequest, response: HttpResponseBase) -> None:
    """Let pages of the listed origins read the answer, never with credentials.

    Tokens travel in a header that a page must set itself, so there is no cookie that another origin could ride on.
    """
    if not settings.CORS_ORIGINS:
        return
    response["Vary"] = ", ".join(filter(None, [response.get("Vary"), "Origin"]))
    origin = request.META.get("HTTP_ORIGIN")
    if origin in settings.CORS_ORIGINS:
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = ANSWER_HEADERS


def tell_caches(request: HttpRequest, response: HttpResponseBase) -> None:
    """For how long the answer may be kept, and on which headers of the request it depends."""
    api = request.path.startswith(API)
    if "Cache-Control" not in response.headers:
        stranger = api and request.method in ("GET", "HEAD") and "HTTP_AUTHORIZATION" not in request.META
        response.headers["Cache-Control"] = PUBLIC if stranger and response.status_code in (200, 304) else PRIVATE
    if api:
        vary = response.headers.get("Vary")
        response.headers["Vary"] = f"Accept, Authorization, {vary}" if vary else "Accept, Authorization"
