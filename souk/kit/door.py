"""The HTTP door: one write request is one transaction, and what a view returns is what is sent."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import DatabaseError, transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views import View
from rest_framework.request import Request
from rest_framework.views import APIView

from souk.kit.idempotency import refuse, under_key
from souk.kit.negotiation import preferred
from souk.kit.parsing import Nothing, Shape, body_of, query_of
from souk.kit.postgresql.base import read_again_if_lost
from souk.kit.postgresql.reading import read_near
from souk.kit.postgresql.together import FORGOTTEN
from souk.kit.problem import (
    MalformedRequest,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    VersionMismatch,
    rendered,
    sqlstate_of,
)

DEADLOCK, SERIALIZATION_FAILURE = "40P01", "40001"
# Whether strangers may be answered by a replica.
REPLICATED = bool(settings.DATABASE_REPLICA_URL)
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
JSON = ("application/json",)
# What needs no negotiation where JSON is all there is.
ANY_JSON = frozenset({"*/*", "application/json"})


class Door(APIView):
    """Base of every view. A view parses, calls one operation and shapes the answer; it never catches a refusal.

    Reads run in autocommit. Everything else runs in one durable transaction, tried again when PostgreSQL chose it as
    the victim of a deadlock or had forgotten a prepared statement of it, and under the caller's Idempotency-Key when
    there is one.
    """

    idempotent = True  # whether POST here honours an Idempotency-Key
    queried = False  # whether GET here reads a query; no other method does, anywhere
    media: Sequence[str] = JSON  # the media types that there are, the usual one first

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        # Allow stands on 405 (souk.kit.problem) and here; Vary on every answer (souk.kit.browsers).
        plain = request.method == "OPTIONS"
        self.headers = self.default_response_headers if plain else {}
        asked = self.request = Request(request, authenticators=[one() for one in self.authentication_classes])
        try:
            read_again_if_lost(partial(self.initial, asked, *args, **kwargs))
            name = (request.method or "").lower()
            found = getattr(self, name, None) if name in self.http_method_names else None
            handler: Callable[[], HttpResponse]
            handler = partial(found or self.http_method_not_allowed, asked, *args, **kwargs)
            if found is not None and request.META.get("QUERY_STRING"):
                handler = self.unless_queried_in_vain(asked, handler)
            response: HttpResponseBase
            if found is None or request.method in SAFE:
                near = REPLICATED and not asked.user
                response = read_near(handler, not_there=NotFound) if near else read_again_if_lost(handler)
            else:
                response = self.write(asked, handler)
        except Exception as error:  # noqa: BLE001  # the one place where every refusal and defect becomes an answer
            response = self.handle_exception(error)
        if plain:
            response = self.finalize_response(asked, response, *args, **kwargs)  # type: ignore[arg-type]  # it takes any HttpResponseBase
        self.response = response  # type: ignore[assignment]  # the same
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """What REST framework does before every handler, without what no door has: versions and format suffixes."""
        accepted = request._request.META.get("HTTP_ACCEPT", "*/*")
        if accepted not in ANY_JSON or self.media is not JSON:
            media = preferred(accepted, self.media)
            if media is None:
                raise NotAcceptable
            request.accepted_media_type = media
        if "HTTP_AUTHORIZATION" in request._request.META:
            self.perform_authentication(request)
        else:
            request.user = request.auth = None  # type: ignore[assignment]  # UNAUTHENTICATED_USER is None
        if self.permission_classes:
            self.check_permissions(request)
        self.check_throttles(request)

    def unless_queried_in_vain(
        self, request: Request, handler: Callable[[], HttpResponse]
    ) -> Callable[[], HttpResponse]:
        """The handler, which refuses every query parameter where none is read: `?dry_run=true` must not be ignored."""
        if request.method == "OPTIONS" or (self.queried and request.method in SAFE):
            return handler
        try:
            query_of(Nothing, request)
        except MalformedRequest as malformed:
            refusal = partial(refuse, malformed, handler)
            # Reads may write too, such as the first look into a bag; a write has its transaction.
            return transaction.atomic(durable=True)(refusal) if request.method in SAFE else refusal
        return handler

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Which methods there are stands in Allow, as in every answer."""
        return no_content()

    def write(self, request: Request, handler: Callable[[], HttpResponse]) -> HttpResponse:
        """Answer a write request. Raises whatever the handler refuses; nothing is changed then."""
        body_of(request)  # before the transaction, which a slow client would otherwise keep open
        if request.method == "POST" and self.idempotent and request.user:
            answered = under_key(user_id=cast("UUID", request.user.pk), request=request, handler=handler)
        else:
            answered = transaction.atomic(durable=True)(handler)
        for pause in (0.01, 0.04, 0.1, None):
            try:
                return answered()
            except DatabaseError as error:
                if pause is None or sqlstate_of(error) not in (DEADLOCK, SERIALIZATION_FAILURE, *FORGOTTEN):
                    raise
                time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # spreads the retries, guards nothing
        raise AssertionError("the last try returns or raises")


class PlainDoor(View):
    """An address that looks at no token and counts no limit: health, pages for people."""

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._with_methods(rendered(MethodNotAllowed()))

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._with_methods(no_content())

    def _with_methods(self, response: HttpResponse) -> HttpResponse:
        response["Allow"] = ", ".join(name.upper() for name in self.http_method_names if hasattr(self, name))
        return response


def answer(shape: Shape | msgspec.Raw | dict[str, Any], *, status: int = 200, etag: str | None = None) -> HttpResponse:
    """A JSON answer, with its ETag where the thing has one."""
    return answer_json(msgspec.json.encode(shape), status=status, etag=etag)


def answer_list(entries: Sequence[bytes], following: str | None, **more: Any) -> HttpResponse:
    """A page of a list whose entries are JSON already, and what else stands beside `next`."""
    beside = msgspec.json.encode({"next": following, **more})
    return answer_json(b'{"results":[' + b",".join(entries) + b"]," + beside[1:])


def answer_json(body: bytes, *, status: int = 200, etag: str | None = None) -> HttpResponse:
    """An answer that is JSON already."""
    response = HttpResponse(body, status=status, content_type="application/json")
    if etag is not None:
        response["ETag"] = f'"{etag}"'
    return response


def created(shape: Shape | msgspec.Raw, *, location: str, etag: str | None = None) -> HttpResponse:
    """201 with the address of what was made."""
    response = answer(shape, status=201, etag=etag)
    response["Location"] = location
    return response


def no_content() -> HttpResponse:
    """204."""
    response = HttpResponse(status=204)
    del response["Content-Type"]
    return response


def etags_in(request: Request | HttpRequest, header: str) -> list[str] | None:
    """The entity tags of If-Match or If-None-Match, unquoted; None without the header. `*` stays as it is."""
    value = request.headers.get(header)
    if value is None:
        return None
    return [tag.strip().removeprefix("W/").strip('"') for tag in value.split(",")]


def is_known(request: Request | HttpRequest, etag: str) -> bool:
    """Whether the caller has this version already (If-None-Match), so that 304 is the answer."""
    tags = etags_in(request, "If-None-Match")
    return tags is not None and (tags == ["*"] or etag in tags)


def not_modified(etag: str) -> HttpResponse:
    """304."""
    return HttpResponse(status=304, headers={"ETag": f'"{etag}"'})


def require_match(request: Request, matches: Callable[[str], bool]) -> None:
    """Hold the caller to their If-Match, if they sent one. Raises VersionMismatch."""
    tags = etags_in(request, "If-Match")
    if tags is not None and tags != ["*"] and not any(matches(tag) for tag in tags):
        raise VersionMismatch
