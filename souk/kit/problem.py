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

    The docstring of a refusal with a code of its own says on its page (`/problems/<code>`) what it means, `advice` what
    a caller can do.

    `detail` is one sentence for people; `errors` has one mapping per offending place of the request, with `pointer`
    (JSON Pointer) or `parameter`, `code` and `detail`, and whatever else helps a program.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "malformed_request"
    title: ClassVar[str] = "The request is malformed"
    advice: ClassVar[str] = ""

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
    """The request cannot be read: its JSON, its encoding, a cursor, a query parameter or a header."""

    code = "malformed_request"
    advice = (
        "Send JSON in UTF-8, nested at most 32 levels deep, without repeated keys, and only the query parameters that "
        "the contract names. Pass cursors on as they were given. `errors` names each offending parameter."
    )


class ValidationFailed(Refused):
    """The request can be read, but some of its values are not acceptable. Unknown fields count too."""

    code, title = "validation_failed", "Some values are not acceptable"
    advice = (
        "Each entry of `errors` has a JSON Pointer to the value and says what is wrong with it. Mend them all at once."
    )


class NotAuthenticated(Refused):
    """There is no access token, or it is unknown, has expired, or was ended, as by a password change."""

    status, code, title = 401, "not_authenticated", "A valid access token is needed"
    advice = (
        "Send `Authorization: Bearer <token>`, from `POST /oauth/token`. When it has expired, refresh it once "
        "and try again; when that is refused too, let the user sign in anew."
    )

    def __init__(self, detail: str = "", *, invalid_token: bool = False) -> None:
        challenge = 'Bearer realm="souk"' + (', error="invalid_token"' if invalid_token else "")
        super().__init__(detail, headers={"WWW-Authenticate": challenge})


class Forbidden(Refused):
    """You may see this, but changing it is for its owner, or for the staff of the market."""

    advice = "Trying again will not help. Look at `allowed_actions`, which names what you may do."
    status, code, title = 403, "forbidden", "This is not yours to change"


class NotFound(Refused):
    """Nothing is at this address, or nothing that you may see: to strangers, what is hidden is not there."""

    advice = "Check the id and whose token you use. Addresses have no slash at their end."
    status, code, title = 404, "not_found", "There is nothing here"


class MethodNotAllowed(Refused):
    """The address is right, the method is not."""

    advice = "The header `Allow` names the methods that the address knows."
    status, code, title = 405, "method_not_allowed", "This address does not answer to that method"


class NotAcceptable(Refused):
    """The header `Accept` asks for a representation that this address does not have."""

    advice = "Accept `application/json`, or leave the header out."
    status, code, title = 406, "not_acceptable", "No acceptable representation exists"


class VersionMismatch(Refused):
    """If-Match names another version than the present one."""

    advice = "Read it again, look whether your change still makes sense, and send it with the new `ETag`."
    status, code, title = 412, "version_mismatch", "It was changed in the meantime"


class BodyTooLarge(Refused):
    """No request needs so much. Nothing was changed."""

    advice = "Send less at once."
    status, code, title = 413, "body_too_large", "The body is larger than 256 kB"


class UnsupportedMediaType(Refused):
    """The header `Content-Type` does not say that the body is JSON in UTF-8."""

    advice = "Send `Content-Type: application/json`."
    status, code, title = 415, "unsupported_media_type", "The body must be JSON"


class DependencyUnavailable(Refused):
    """Something that Souk needs, such as its database, does not answer in time. Nothing was half done."""

    advice = (
        "Wait for as many seconds as `Retry-After` says, and send the same request again; a write with the same "
        "`Idempotency-Key`, so that it has one effect even if the first one went through."
    )
    status, code, title = 503, "dependency_unavailable", "Something that Souk depends on does not answer"

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class InternalError(Refused):
    """A defect of Souk's own. It was logged under the `request_id` of the answer."""

    advice = (
        "Tell whoever runs this server the `request_id`. Trying again may help, if something passing was the cause."
    )
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
