"""What every piece of code may know of the request or the event that it works for."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from uuid_utils import uuid7

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


def current_trace_id() -> str:
    """The id of that trace, 32 hexadecimal digits, or an empty string."""
    traceparent = _traceparent.get()
    return traceparent[3:35] if traceparent else ""


def enter(*, request_id: str = "", traceparent: str | None = None) -> None:
    """Begin the work for one request or one event in this thread. A malformed traceparent is left out."""
    _request_id.set(request_id)
    _traceparent.set(traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else None)


def enter_request(*, asked_id: str, traceparent: str | None) -> str:
    """Begin the work for one request; returns its id: the caller's when it is a decent one, else a new one.

    Without a (decent) traceparent it begins a trace, which nobody records: so one id finds what every process logs for
    the request and for the events that it made.
    """
    request_id = asked_id if REQUEST_ID.fullmatch(asked_id) else str(uuid7())
    _request_id.set(request_id)
    if not traceparent or not TRACEPARENT.fullmatch(traceparent):
        drawn = secrets.token_hex(24)
        traceparent = f"00-{drawn[:32]}-{drawn[32:]}-00"
    _traceparent.set(traceparent)
    return request_id


@contextmanager
def within(traceparent: str) -> Iterator[None]:
    """What is done in the block belongs to this span."""
    before = _traceparent.set(traceparent)
    try:
        yield
    finally:
        _traceparent.reset(before)


def is_recorded(traceparent: str) -> bool:
    """Whether somebody records the trace. One that nobody records is not passed on: receivers would not record it."""
    return bool(int(traceparent[-2:], 16) & 1)
