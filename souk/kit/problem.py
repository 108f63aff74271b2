"""Refusals and how they are told: RFC 9457 problem details, rendered in this one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import structlog
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, Error, InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework import exceptions as drf

from souk.kit.context import current_request_id

log = structlog.get_logger()


class Refused(Exception):
    """The caller asked for something that cannot be had. Every operation's refusals derive from this.

    `detail` is one sentence for people; `errors` has one mapping per offending place of the request, with `pointer`
    (JSON Pointer) or `parameter`, `code` and `detail`, and whatever else helps a program.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "malformed_request"
    title: ClassVar[str] = "The request is malformed"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or f"{self.title}."
        self.errors = list(errors)
        self.headers = dict(headers or {})


class MalformedRequest(Refused):
    """The request cannot be read: JSON, encoding, cursor, query parameter."""


class ValidationFailed(Refused):
    """The request can be read, but some of its values are not acceptable."""

    code, title = "validation_failed", "Some values are not acceptable"


class NotAuthenticated(Refused):
    status, code, title = 401, "not_authenticated", "A valid access token is needed"

    def __init__(self, detail: str = "", *, invalid_token: bool = False) -> None:
        challenge = 'Bearer realm="souk"' + (', error="invalid_token"' if invalid_token else "")
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class Forbidden(Refused):
    status, code, title = 403, "forbidden", "This is not yours to change"


class NotFound(Refused):
    status, code, title = 404, "not_found", "There is nothing here"


class MethodNotAllowed(Refused):
    status, code, title = 405, "method_not_allowed", "This address does not answer to that method"


class NotAcceptable(Refused):
    status, code, title = 406, "not_acceptable", "No acceptable representation exists"


class VersionMismatch(Refused):
    """If-Match names another version than the present one."""

    status, code, title = 412, "version_mismatch", "It was changed in the meantime"


class BodyTooLarge(Refused):
    status, code, title = 413, "body_too_large", "The body is larger than 256 kB"


class UnsupportedMediaType(Refused):
    status, code, title = 415, "unsupported_media_type", "The body must be JSON"


class DependencyUnavailable(Refused):
    status, code, title = 503, "dependency_unavailable", "Something that Souk depends on does not answer"

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class InternalError(Refused):
    """A defect of Souk's own."""

    status, code, title = 500, "internal_error", "Souk made a mistake"


def rendered(refused: Refused) -> HttpResponse:
    """The problem details of a refusal, as an answer."""
    body: dict[str, Any] = {
        "type": f"/problems/{refused.code}",
        "title": refused.title,
        "status": refused.status,
        "code": refused.code,
        "detail": refused.detail,
        "request_id": current_request_id(),
    }
    if refused.errors:
        body["errors"] = refused.errors
    return HttpResponse(
        msgspec.json.encode(body),
        status=refused.status,
        content_type="application/problem+json",
        headers=refused.headers,
    )


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE that PostgreSQL gave, through Django's wrapping of psycopg's errors."""
    return getattr(error.__cause__, "sqlstate", None)


def _took_too_long(error: BaseException) -> bool:
    """Whether PostgreSQL ended the transaction for its length (25P03, 25P04), which Django calls an internal error."""
    return (sqlstate_of(error) or "").startswith("25P0")


def refusal_of(error: BaseException) -> Refused:
    """What an exception means to the caller. A defect becomes InternalError, and is logged here."""
    match error:
        case Refused():
            return error
        case Http404() | drf.NotFound():
            return NotFound()
        case drf.NotAuthenticated() | drf.AuthenticationFailed():
            return NotAuthenticated()
        case PermissionDenied() | drf.PermissionDenied():
            return Forbidden()
        case drf.MethodNotAllowed():
            return MethodNotAllowed()
        case drf.NotAcceptable():
            return NotAcceptable()
        case RequestDataTooBig():
            return BodyTooLarge()
        case SuspiciousOperation() | BadRequest() | drf.ParseError():
            return MalformedRequest()
        case DataError():
            log.error("a value reached the database that the parsing should have refused", exc_info=error)
            return MalformedRequest("A value cannot be stored.")
        case Error() if isinstance(error, OperationalError | InterfaceError) or _took_too_long(error):
            log.warning("the database did not answer", error=str(error).splitlines()[0], sqlstate=sqlstate_of(error))
            return DependencyUnavailable("The database does not answer in time.")
        case _:
            log.error("unhandled error", exc_info=error)
            return InternalError("The mistake has been logged under this request_id.")


def problem_of_exception(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """REST framework's EXCEPTION_HANDLER."""
    answer = rendered(refusal_of(error))
    if isinstance(error, drf.MethodNotAllowed):
        answer["Allow"] = ", ".join(context["view"].allowed_methods)
    return answer
