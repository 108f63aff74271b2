"""What every piece of code may know of the request or the event that it works for."""

from __future__ import annotations

import re
from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_traceparent: ContextVar[str | None] = ContextVar("traceparent", default=None)

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# Not what could be a card number: it goes into the log.
REQUEST_ID = re.compile(r"(?![\d-]{13,25}$)[A-Za-z0-9_.\-]{1,128}")


def current_request_id() -> str:
    """The id of the request being answered, or an empty string."""
    return _request_id.get()


def current_traceparent() -> str | None:
    """The W3C trace context that the present work belongs to, if any."""
    return _traceparent.get()


def enter(*, request_id: str = "", traceparent: str | None = None) -> None:
    """Begin the work for one request or one event in this thread. A malformed traceparent is left out."""
    _request_id.set(request_id)
    _traceparent.set(traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else None)
