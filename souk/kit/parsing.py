"""Strict reading of what a caller sends: it has the shape that was asked for, or the request is refused.

Shapes are msgspec Structs: exact types (`"1"` is not 1), bounds in the annotation, unknown fields refused.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Annotated, Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import unquote_to_bytes

import msgspec
from django.conf import settings
from django.http import HttpRequest
from django.http.request import UnreadablePostError
from rest_framework.request import Request

from souk.kit.problem import BodyTooLarge, MalformedRequest, UnsupportedMediaType, ValidationFailed

DEEPEST = 32
_worked_out: set[type[msgspec.Struct]] = set()
_working_out = threading.Lock()
STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
NOT_READ = "\ufffd"  # what Django puts in the place of bytes that are no UTF-8
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
INTEGER = re.compile("-?(0|[1-9][0-9]{0,18})")
PLACE = re.compile(r" - at `\$(.*?)`$")


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every shape that goes in or out."""


AnyShape = TypeVar("AnyShape", bound=Shape)
Limit = Annotated[int, msgspec.Meta(ge=1, le=100)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


def told(**schema: Any) -> msgspec.Meta:
    """What the contract says of a value, in JSON Schema; nothing checks it here, the operations judge it.

    It wins over what the type says, where that is the more generous.
    """
    return msgspec.Meta(extra_json_schema={"x-told": schema})


def words_of(*words: str) -> msgspec.Meta:
    """Of a text that the contract shows as one of these words: for what goes out."""
    return told(enum=list(words))


# Reading it is the list's own affair.
Cursor = Annotated[str, told(format="cursor", minLength=1, maxLength=500)]


class Page(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query parameters of every list."""

    limit: Limit = 20
    cursor: Cursor | None = None


class Nothing(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a request that says everything by its address."""


def parsed(shape: type[AnyShape], request: Request | HttpRequest) -> AnyShape:
    """The JSON body, in this shape.

    Raises UnsupportedMediaType, BodyTooLarge (by Django's own limit), MalformedRequest for what is no strict JSON, and
    ValidationFailed with one error per wrong place.
    """
    body = body_of(request)
    if body or shape is not Nothing:
        media, _, charset = (request.META.get("CONTENT_TYPE") or "").partition(";")
        if media.strip().lower() != "application/json" or charset.strip().lower() not in ("", "charset=utf-8"):
            raise UnsupportedMediaType
    return shaped(shape, decoded_json(body) if body or shape is not Nothing else {})


def body_of(request: Request | HttpRequest) -> bytes:
    """The raw body. Raises BodyTooLarge, and MalformedRequest when the client broke off before its end."""
    plain = request._request if isinstance(request, Request) else request
    said = plain.META.get("CONTENT_LENGTH") or ""
    try:
        body = plain.body if said or "HTTP_TRANSFER_ENCODING" not in plain.META else _chunked_body(plain)
    except UnreadablePostError as broken:
        raise MalformedRequest("The body ended early.") from broken
    if said.isdecimal() and len(body) < int(said):
        raise MalformedRequest("The body ended early.")
    return body


def _chunked_body(request: HttpRequest) -> bytes:
    """The body of a request that does not say its length: Django reads none of it."""
    if not hasattr(request, "_body"):
        most = int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        body = request.META["wsgi.input"].read(most + 1)
        if len(body) > most:
            raise BodyTooLarge
        request._body = body  # where `request.body` keeps what it has read
    return bytes(request.body)


def shaped(shape: type[AnyShape], value: Any) -> AnyShape:
    """The value in this shape. Raises ValidationFailed with one error per wrong place."""
    errors = []
    if _may_be_unstorable(value):
        errors = [_error("invalid", "No NUL and no lone surrogate, please.", place) for place in _unstorable(value, "")]
    if not errors:
        try:
            return _converted(value, shape)
        except msgspec.ValidationError:
            errors = list(_errors(value, shape, ""))
    raise ValidationFailed(errors=errors)


def _converted(value: Any, shape: type[AnyShape]) -> AnyShape:
    """The value in this shape. Raises msgspec.ValidationError.

    What msgspec has to know of a shape it works out when the shape is first used, and two threads that do so at once
    can end the process (0.22: a segmentation fault). So the first one does it alone.
    """
    if shape not in _worked_out:
        with _working_out:
            msgspec.json.Decoder(shape)
            _worked_out.add(shape)
    return msgspec.convert(value, shape)


def parameters_of(request: Request | HttpRequest) -> Iterable[tuple[str, list[str]]]:
    """The names in the query, each with its values. Where there is none Django need not make a dictionary of it."""
    plain = getattr(request, "_request", request)
    return plain.GET.lists() if plain.META.get("QUERY_STRING") else ()


def query_of(shape: type[AnyShape], request: Request | HttpRequest) -> AnyShape:
    """The query parameters, in this shape; list fields may be repeated. Raises MalformedRequest naming each bad one."""
    lists = _repeatable(shape)
    found: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    garbled = not _is_utf8(request.META.get("QUERY_STRING") or "")
    for name, values in parameters_of(request):
        if len(values) > 1 and name not in lists:
            errors.append({"parameter": name, "code": "repeated", "detail": "Only once, please."})
        if UNSTORABLE.search(name) or any(UNSTORABLE.search(value) for value in values):
            errors.append({"parameter": name, "code": "invalid", "detail": "No NUL, please."})
        if garbled and NOT_READ in name + "".join(values):
            errors.append({"parameter": name, "code": "invalid", "detail": "UTF-8, please."})
        read = [_read(value, _hints(shape).get(name)) for value in values]
        found[name] = read if name in lists else read[0]
    if not errors:
        try:
            return _converted(found, shape)
        except msgspec.ValidationError:
            for error in _errors(found, shape, ""):
                name = error.pop("pointer").removeprefix("/").partition("/")[0]
                errors.append({"parameter": name.replace("~1", "/").replace("~0", "~"), **error})
    raise MalformedRequest("Some query parameters are not acceptable.", errors=errors)


def _is_utf8(query: str) -> bool:
    """Of a query as WSGI tells it: one character per byte, escapes as they were sent."""
    if query.isascii() and "%" not in query:
        return True
    try:
        unquote_to_bytes(query.encode("latin-1", "replace")).decode()
    except UnicodeDecodeError:
        return False
    return True


def decoded_json(body: bytes) -> Any:
    """Strict JSON: UTF-8, no repeated keys, no NaN, at most 32 levels. Raises MalformedRequest."""
    if body.count(b"[") + body.count(b"{") > DEEPEST and _depth(body) > DEEPEST:
        raise MalformedRequest(f"The JSON is nested more than {DEEPEST} levels deep.")
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise MalformedRequest("The body is not valid JSON in UTF-8.") from error
    except ValueError as error:  # what Python reads no integer from
        raise MalformedRequest("A number in the body has thousands of digits.") from error


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for byte in STRINGS.sub(b"", body):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequest("A key is repeated in one object.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise MalformedRequest(f"{name} is not JSON.")


def _read(text: str, hint: Any) -> str | int | bool:
    """A query's text as the type of its field; as it is where it is no such thing, so that its check refuses it.

    msgspec's own lax mode reads `1e1` as a number and `null` as an absent parameter.
    """
    wanted = _without_extras(hint)
    if get_origin(wanted) is list:
        (item,) = get_args(wanted)
        wanted = _without_extras(item)
    if wanted is int and INTEGER.fullmatch(text):
        return int(text)
    if wanted is bool and text in ("true", "false"):
        return text == "true"
    return text


def _may_be_unstorable(value: Any) -> bool:
    """Whether it is worth while to look at every string of a value that came as JSON: hardly ever."""
    try:
        return b"\\u0000" in msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError, msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return True


def _unstorable(value: Any, place: str) -> Iterator[str]:
    """Pointers to the strings that PostgreSQL could not keep."""
    if isinstance(value, str):
        if UNSTORABLE.search(value):
            yield place
    elif isinstance(value, dict):
        for key, inner in value.items():
            if UNSTORABLE.search(key):
                yield place
            else:
                yield from _unstorable(inner, below(place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unstorable(inner, f"{place}/{index}")


def _errors(value: Any, wanted: Any, place: str) -> Iterator[dict[str, Any]]:
    """Every reason why the value is not of the wanted type; msgspec alone tells only the first."""
    try:
        msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        inner = list(_inner_errors(value, _without_extras(wanted), place))
        yield from inner or [_told(error, place)]


def _inner_errors(value: Any, wanted: Any, place: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
        hints = _hints(wanted)
        required = {field.encode_name for field in msgspec.structs.fields(wanted) if field.required}
        for name in sorted(required - value.keys()):
            yield _error("required", "This is needed.", below(place, name))
        for name, inner in value.items():
            if name not in hints:
                yield _error("unknown", "There is no such field.", below(place, name))
            else:
                yield from _errors(inner, hints[name], below(place, name))
    elif isinstance(value, list) and get_origin(wanted) is list:
        (item,) = get_args(wanted)
        for index, inner in enumerate(value):
            yield from _errors(inner, item, f"{place}/{index}")


def _without_extras(wanted: Any) -> Any:
    """The Struct or list type inside `Annotated[...]`, `... | None` and `... | UnsetType`."""
    if get_origin(wanted) is Annotated:
        return _without_extras(get_args(wanted)[0])
    if get_origin(wanted) in (Union, UnionType):
        rest = [one for one in get_args(wanted) if one not in (type(None), msgspec.UnsetType)]
        return _without_extras(rest[0]) if len(rest) == 1 else wanted
    return wanted


@cache
def _hints(shape: type[msgspec.Struct]) -> Mapping[str, Any]:
    """The types of the fields, by the names under which they are sent."""
    hints = get_type_hints(shape, include_extras=True)
    return {field.encode_name: hints[field.name] for field in msgspec.structs.fields(shape)}


@cache
def _repeatable(shape: type[Shape]) -> frozenset[str]:
    return frozenset(name for name, hint in _hints(shape).items() if get_origin(_without_extras(hint)) is list)


def _told(error: msgspec.ValidationError, place: str) -> dict[str, Any]:
    text = str(error)
    if found := PLACE.search(text):
        text = text[: found.start()]
        place += found[1].replace(".", "/").replace("[", "/").replace("]", "")
    return _error("invalid", text.replace("`", "") + ".", place)


def below(place: str, key: str) -> str:
    """The JSON Pointer to a key of the object at this place."""
    return f"{place}/{key.replace('~', '~0').replace('/', '~1')}"


def _error(code: str, detail: str, place: str) -> dict[str, Any]:
    return {"pointer": place, "code": code, "detail": detail}
