"""Middleware of the pages for staff: sessions, forgery protection, who is signed in, messages. The API pays for none.

Each is Django's own, passed by for every other address.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

PAGES = "/admin/"
# Alpine, which unfold's pages are made with, evaluates what stands in attributes; colours come in a style element.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class _PagesOnly:
    """Passes every request by that is not for a page for staff."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(PAGES):
            return self.get_response(request)  # type: ignore[no-any-return]  # Django types it as anything
        return super().__call__(request)  # type: ignore[no-any-return, misc]  # the middleware that this is mixed into


class Sessions(_PagesOnly, SessionMiddleware):
    """Sessions in the database. The cookie is for TLS alone whenever the page came over TLS."""

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        response = super().process_response(request, response)
        if settings.SESSION_COOKIE_NAME in response.cookies:
            response.cookies[settings.SESSION_COOKIE_NAME]["secure"] = request.is_secure() or ""
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers["Cache-Control"] = "no-store"
        return response


class Forgery(_PagesOnly, CsrfViewMiddleware):
    """A form must come from a page of ours."""

    def process_view(self, request: HttpRequest, *arguments: Any) -> Any:
        return super().process_view(request, *arguments) if request.path_info.startswith(PAGES) else None


class Members(_PagesOnly, AuthenticationMiddleware):
    """Who is signed in."""


class Messages(_PagesOnly, MessageMiddleware):
    """What an action has to say on the next page."""
