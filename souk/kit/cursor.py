"""Keyset cursors: opaque to the caller, strictly read on their way back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request

from souk.kit.parsing import parameters_of
from souk.kit.problem import MalformedRequest

Row = TypeVar("Row")


class BadCursor(MalformedRequest):
    """A cursor that this list did not give."""

    def __init__(self) -> None:
        error = {"parameter": "cursor", "code": "invalid", "detail": "Use the cursor that the list gave."}
        super().__init__("The cursor is not one of this list.", errors=[error])


def encode_cursor(list_name: str, key: str | int | UUID) -> str:
    """The cursor that continues the named list after the row with this key."""
    return base64.urlsafe_b64encode(msgspec.json.encode([list_name, str(key)])).rstrip(b"=").decode()


def decode_cursor(list_name: str, cursor: str, key: Callable[[str], Any]) -> Any:
    """The key in a cursor of the named list, read by `key` (`UUID`, `int`). Raises BadCursor."""
    if len(cursor) > 500:
        raise BadCursor
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        name, text = msgspec.json.decode(raw, type=tuple[str, str])
        value = key(text)
    except (UnicodeError, binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise BadCursor from error
    if name != list_name or str(value) != text or abs(value if isinstance(value, int) else 0) >= 2**63:
        raise BadCursor
    return value


def paged(
    rows: Sequence[Row], limit: int, *, list_name: str, key: Callable[[Row], Any]
) -> tuple[Sequence[Row], str | None]:
    """The page to show of `rows`, which were read with one more than `limit`, and the cursor after it."""
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, encode_cursor(list_name, key(page[-1]))


def link_next(request: HttpRequest | Request, response: HttpResponse, cursor: str | None) -> HttpResponse:
    """Name the next page in a Link header too (RFC 8288)."""
    if cursor is not None:
        asked = [(name, value) for name, values in parameters_of(request) for value in values if name != "cursor"]
        query = urlencode([*asked, ("cursor", cursor)]) if asked else f"cursor={cursor}"
        response["Link"] = f'<{request.path}?{query}>; rel="next"'
    return response
