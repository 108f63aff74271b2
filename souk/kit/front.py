"""The way from the HTTP server to a door of the API: Django's, without what nobody behind such a door needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.handlers.exception import response_for_exception
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, get_resolver
from django.utils.module_loading import import_string

from souk.kit.problem import refusal_of, rendered
from souk.kit.staff import PagesOnly
from souk.kit.turns import DOORS

ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Front(WSGIHandler):
    """The WSGI application.

    What is asked under `/api/` passes by the middleware of the pages for staff, by Django's signals of a request's
    beginning and end, by its net around every layer of the chain and by the search for an address of a kind
    that was found before; together that costs as much as all of Souk's own Python of a list
    (docs/decisions/0040-a-short-way-to-the-doors.md). Everything else goes Django's way, as all does while DEBUG is on.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async)
        self._known: dict[str | tuple[str, str], ResolverMatch] = {}
        chain: Callable[[HttpRequest], HttpResponseBase] = self._behind_the_door
        for name in reversed(settings.MIDDLEWARE):
            layer = import_string(name)
            if not issubclass(layer, PagesOnly):
                chain = layer(chain)
        self._doors = chain
        self._short = not settings.DEBUG  # the signals keep the list of queries that DEBUG makes from growing

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if not self._short or not environ.get("PATH_INFO", "").startswith(DOORS) or environ.get("SCRIPT_NAME"):
            return super().__call__(environ, start_response)
        for wrapper in connections.all(initialized_only=True):
            wrapper.close_if_unusable_or_obsolete()
        request = self.request_class(environ)
        response: Any = self.get_response(request)
        # The headers as they lie there: going through the mapping costs ten times as much.
        headers = [*response.headers._store.values()]
        if response.cookies:
            headers += [("Set-Cookie", cookie.output(header="")) for cookie in response.cookies.values()]
        start_response(f"{response.status_code} {response.reason_phrase}", headers)
        if response.streaming:
            response._resource_closers.append(request.close)
            return response  # the server goes through it and closes it
        for close in (*response._resource_closers, request.close):
            with suppress(Exception):  # as Django does
                close()
        return [response.content]

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """What is answered, on either way."""
        if not self._short or not request.path_info.startswith(DOORS):
            return super().get_response(request)
        try:
            return self._doors(request)
        except Exception as error:  # noqa: BLE001  # a layer of the chain; a door's own are answers by now
            return response_for_exception(request, error)

    def _behind_the_door(self, request: HttpRequest) -> HttpResponseBase:
        """Where the chain ends: the view, and the net under it."""
        try:
            found = self._resolved(request.path_info)
        except Http404 as nowhere:
            return response_for_exception(request, nowhere)
        request.resolver_match = found
        try:
            response: HttpResponseBase = found.func(request, *found.args, **found.kwargs)
        except Exception as error:  # noqa: BLE001  # the net: what a door lets through becomes an answer here
            response = rendered(refusal_of(error))
        return response

    def _resolved(self, path: str) -> ResolverMatch:
        """What stands at this address, by whatever id. There are so many that have no other parameter, and no more:
        those are remembered."""
        one = ID.search(path)
        place = path if one is None else (path[: one.start()], path[one.end() :])
        found = self._known.get(place)
        if found is None:
            found = get_resolver().resolve(path)
            if not found.args and list(found.kwargs.values()) == ([] if one is None else [UUID(one[0])]):
                self._known[place] = found
        elif one is not None:
            there = ResolverMatch.__new__(ResolverMatch)  # a copy: its constructor works out anew what is known
            kwargs = dict.fromkeys(found.kwargs, UUID(one[0]))
            there.__dict__ |= found.__dict__ | {"kwargs": kwargs, "captured_kwargs": kwargs}
            return there
        return found
