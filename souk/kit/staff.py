"""Middleware of the pages for staff: sessions, forgery protection, who is signed in, messages. The API pays for none.

Each is Django's own, passed by for every other address.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.template.loader import render_to_string

from souk.kit.problem import refusal_of, rendered

PAGES = "/admin/"
# Alpine, which unfold's pages are made with, evaluates what stands in attributes; colours come in a style element.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class PagesOnly:
    """Passes every request by that is not for a page for staff."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(PAGES):
            return self.get_response(request)  # type: ignore[no-any-return]  # Django types it as anything
        return super().__call__(request)  # type: ignore[no-any-return, misc]  # the middleware that this is mixed into


class Sessions(PagesOnly, SessionMiddleware):
    """Sessions in the database. The cookie is for TLS alone whenever the page came over TLS."""

    def process_response(self, request: HttpRequest, response: Any) -> Any:
        try:
            response = super().process_response(request, response)
        except Error as error:  # the session is kept here, after the view and outside the net under it
            response = rendered(refusal_of(error))
        if response.status_code == 302 and "HX-Request" in request.headers:
            # A button of who is signed out by now: the whole page goes to the sign-in page, not the script behind it.
            response = HttpResponse(headers={"HX-Refresh": "true"})
        if settings.SESSION_COOKIE_NAME in response.cookies:
            response.cookies[settings.SESSION_COOKIE_NAME]["secure"] = request.is_secure() or ""
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers["Cache-Control"] = "no-store"
        return response


class Forgery(PagesOnly, CsrfViewMiddleware):
    """A form must come from a page of ours."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:  # type: ignore[override]  # an answer is taken
        try:
            super().process_request(request)
        except Error as error:  # what it compares with lies in the session
            return rendered(refusal_of(error))
        return None

    def process_view(self, request: HttpRequest, *arguments: Any) -> Any:
        return super().process_view(request, *arguments) if request.path_info.startswith(PAGES) else None


class Members(PagesOnly, AuthenticationMiddleware):
    """Who is signed in."""


class Messages(PagesOnly, MessageMiddleware):
    """What an action has to say on the next page, and what is refused: as a page to a browser, where it is one."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not request.path_info.startswith(PAGES) or "text/html" not in request.headers.get("Accept", ""):
            return None
        refused = refusal_of(error)
        shown = render_to_string("admin/refused.html", {"refused": refused})
        return HttpResponse(shown, status=refused.status, headers=refused.headers)
