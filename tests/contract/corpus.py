"""The corpus as requests: every evil input in every place of every door, generated from the contract and the routes."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tests.contract import evil
from tests.contract.evil import SMALL, in_query

JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
HERE = "@@here@@"
PARAMETER = re.compile(r"{(\w+)}")
# Whose header is looked at even where the rest of a request is wrong.
WITH_A_GOOD_BODY = ("Idempotency-Key", "If-Match")


@dataclass(frozen=True)
class Door:
    """One method of one address. `operation` is what the contract says of it; None for pages, which it leaves out."""

    method: str
    path: str
    operation: dict[str, Any] | None = None
    body: Any = None  # a good one
    form: dict[str, str] | None = None

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def statuses(self) -> set[int]:
        """What the contract says that it can answer."""
        return {int(status) for status in (self.operation or {}).get("responses", ())}

    @property
    def looks_at_tokens(self) -> bool:
        return 401 in self.statuses and not self.path.startswith("/oauth/")

    @property
    def reads_json(self) -> bool:
        return "application/json" in (self.operation or {}).get("requestBody", {}).get("content", {})

    @property
    def needs_body(self) -> bool:
        return bool((self.operation or {}).get("requestBody", {}).get("required"))

    @property
    def queries(self) -> list[str]:
        found = (self.operation or {}).get("parameters", ())
        return [one["name"] for one in found if one.get("in") == "query"]


@dataclass(frozen=True)
class Case:
    """One request. `{...}` in the path are ids of the scene; `expected` are the answers it must have, if one knows."""

    door: Door
    place: str  # method, path, query, header, body or wire
    label: str
    method: str
    path: str
    query: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    token: bool = True
    expected: frozenset[tuple[int, str] | int] = field(default_factory=frozenset)
    raw: bytes | None = None


def cases_of(door: Door) -> Iterator[Case]:
    """Every request of the corpus at this door."""
    plain = Case(door, "", "", door.method, door.path)
    for make in (_methods, _paths, _queries, _tokens, _headers, _whole_bodies, _media, _leaves, _shapes, _forms, _wire):
        yield from make(plain)


def sampled(cases: list[Case], share: float, seed: int) -> list[Case]:
    """So large a share of the cases, and at least one of every door and place."""
    if share >= 1:
        return cases
    drawn = random.Random(seed)  # noqa: S311  # it chooses test cases
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.door.name, case.place].append(case)
    return [
        case
        for group in groups.values()
        for case in sorted(drawn.sample(group, max(1, round(share * len(group)))), key=group.index)
    ]


def _refusable(plain: Case) -> Case:
    """The request with a body that no door takes, so that nothing comes of what is tried beside it."""
    return plain if plain.method in ("GET", "HEAD") else replace(plain, headers=(JSON,), body=SMALL)


def _good(plain: Case) -> Case:
    door = plain.door
    if door.form is not None:
        return replace(
            plain, headers=(FORM,), body="&".join(f"{n}={in_query(v)}" for n, v in door.form.items()).encode()
        )
    return plain if door.body is None else replace(plain, headers=(JSON,), body=json.dumps(door.body).encode())


def _methods(plain: Case) -> Iterator[Case]:
    if plain.door.operation is None and plain.method != "GET":
        return
    for method in evil.METHODS:
        for body in (None, SMALL):
            headers = (JSON,) if body else ()
            yield replace(plain, place="method", label=method, method=method, headers=headers, body=body)


def _paths(plain: Case) -> Iterator[Case]:
    base = _good(plain)
    for name in PARAMETER.findall(plain.path):
        for text in evil.PATHS:
            path = plain.path.replace(f"{{{name}}}", text)
            yield replace(base, place="path", label=f"{name}: {text}", path=path)
    for tail in ("/", "//", "/.", "/..", ".json", "%00", "%2f", ";x", "\\", "%20", "/x", "%0a"):
        yield replace(base, place="path", label=f"behind: {tail}", path=plain.path + tail)
    for head in ("/", "/.", "/x/..", "/%2e", "/API/..", "\\"):
        yield replace(base, place="path", label=f"before: {head}", path=head + plain.path)
    yield replace(base, place="path", label="in capitals", path=plain.path.upper().replace("_ID}", "_id}"))


def _queries(plain: Case) -> Iterator[Case]:
    base = _refusable(plain)
    # Lists refuse what they do not know; elsewhere a query says nothing.
    refused = frozenset({(400, "malformed_request")}) if plain.door.queries else frozenset()
    for query in evil.QUERIES:
        yield replace(base, place="query", label=query[:60], query=query, expected=refused)
    for query in evil.HARMLESS_QUERIES:
        yield replace(base, place="query", label=query, query=query)
    for name in plain.door.queries:
        for text in evil.TEXTS:
            query = f"{name}={in_query(text)}"
            malformed = "\0" in text or (name == "limit" and not re.fullmatch("[1-9][0-9]?|100", text))
            yield replace(
                base, place="query", label=query[:60], query=query, expected=refused if malformed else frozenset()
            )
        for query in (
            f"{name}=a&{name}=b",
            f"{name}[]=a",
            f"{name}%00=a",
            f"{name}",
            f"{name}=%ff",
            f"{name}={'a,' * 500}",
        ):
            yield replace(base, place="query", label=query[:60], query=query)


def _tokens(plain: Case) -> Iterator[Case]:
    refused = frozenset({(401, "not_authenticated")}) if plain.door.looks_at_tokens else frozenset()
    for value in evil.TOKENS:
        good = _good(plain)
        headers = (*good.headers, ("Authorization", value))
        yield replace(
            good, place="header", label=f"Authorization: {value[:40]}", headers=headers, token=False, expected=refused
        )


def _headers(plain: Case) -> Iterator[Case]:
    for name, values in evil.HEADERS.items():
        base = _good(plain) if name in WITH_A_GOOD_BODY else _refusable(plain)
        for value in values:
            headers, label = (*base.headers, (name, value)), f"{name}: {value[:40]}"
            expected = _expected(plain.door, name, value)
            yield replace(base, place="header", label=label, headers=headers, expected=expected)
            if name in ("Idempotency-Key", "If-Match", "If-None-Match", "X-Request-ID"):
                yield replace(base, place="header", label=f"twice {label}", headers=(*headers, (name, "other")))
    for value in evil.HOSTS:
        yield replace(_refusable(plain), place="header", label=f"Host: {value}", headers=(("Host", value),))


def _expected(door: Door, name: str, value: str) -> frozenset[tuple[int, str] | int]:
    """What a header must lead to where the contract says that the door looks at it."""
    if name == "If-Match" and 412 in door.statuses and value in evil.OLD_VERSIONS:
        return frozenset({(412, "version_mismatch")})
    if name == "Idempotency-Key" and 422 in door.statuses and value in evil.NO_KEYS:
        return frozenset({(400, "malformed_request")})
    if name == "Accept" and 406 in door.statuses and value == "application/x-nothing":
        return frozenset({(406, "not_acceptable")})
    return frozenset()


def _whole_bodies(plain: Case) -> Iterator[Case]:
    for label, (body, told) in evil.BODIES.items():
        expected: frozenset[Any] = frozenset()
        if plain.door.reads_json and told and (body or plain.door.needs_body):
            expected = frozenset({told})
        yield replace(plain, place="body", label=label, headers=(JSON,), body=body, expected=expected)


def _media(plain: Case) -> Iterator[Case]:
    expected = frozenset({(415, "unsupported_media_type")}) if plain.door.reads_json else frozenset()
    for media in evil.MEDIA:
        for body in (SMALL, b"a=1"):
            headers = (("Content-Type", media),)
            yield replace(plain, place="body", label=f"as {media[:40]}", headers=headers, body=body, expected=expected)


def _leaves(plain: Case) -> Iterator[Case]:
    """Evil values in every place of a good body."""
    if plain.door.body is None:
        return
    malformed, failed = frozenset({(400, "malformed_request")}), frozenset({(400, "validation_failed")})
    values: list[tuple[bytes, frozenset[Any]]] = [
        *((json.dumps(text).encode(), frozenset[Any]()) for text in evil.TEXTS if "\0" not in text),
        *((raw, frozenset[Any]()) for raw in evil.RAW),
        *((raw, malformed) for raw in evil.RAW_MALFORMED),
        *((raw, failed) for raw in evil.RAW_UNSTORABLE),
    ]
    for pointer, template in _templates(plain.door.body):
        before, after = json.dumps(template).encode().split(f'"{HERE}"'.encode())
        for value, expected in values:
            label = f"{pointer}: {value[:40].decode('latin-1')}"
            body = before + value + after
            yield replace(plain, place="body", label=label, headers=(JSON,), body=body, expected=expected)


def _shapes(plain: Case) -> Iterator[Case]:
    """A good body with a field too many, a field too few, a key twice."""
    if plain.door.body is None:
        return
    failed, malformed = frozenset({(400, "validation_failed")}), frozenset({(400, "malformed_request")})
    base = replace(plain, place="body", headers=(JSON,))
    for pointer, template in _objects(plain.door.body):
        for key in evil.FIELDS:
            body = _in(plain, pointer, json.dumps(template | {key: 1}).encode())
            yield replace(base, label=f"{pointer}: a field {key[:20]!a}", body=body, expected=failed)
        for key, value in template.items():
            without = json.dumps({name: inner for name, inner in template.items() if name != key}).encode()
            yield replace(base, label=f"{pointer}: no {key}", body=_in(plain, pointer, without))
            twice = json.dumps(template).encode()[:-1] + f", {json.dumps(key)}: {json.dumps(value)}}}".encode()
            body = _in(plain, pointer, twice)
            yield replace(base, label=f"{pointer}: {key} twice", body=body, expected=malformed)


def _forms(plain: Case) -> Iterator[Case]:
    form = plain.door.form
    if form is None:
        return
    for name, value in form.items():
        rest = "&".join(f"{other}={in_query(inner)}" for other, inner in form.items() if other != name)
        broken = ["%zz", "%", "%ff", "%00", "%ed%a0%80", f"{in_query(value)}%00"]
        for text in [*(in_query(text) for text in evil.TEXTS), *broken]:
            body = f"{rest}&{name}={text}".encode()
            yield replace(plain, place="body", label=f"{name}={text[:40]}", headers=(FORM,), body=body)
        for body in (f"{rest}&{name}={value}&{name}={value}".encode(), rest.encode(), f"{rest}&{name}".encode()):
            yield replace(plain, place="body", label=f"{name} twice or not at all", headers=(FORM,), body=body)
    for query in evil.QUERIES:
        yield replace(plain, place="body", label=query[:40], headers=(FORM,), body=query.encode())


def _wire(plain: Case) -> Iterator[Case]:
    if plain.door.operation is None and plain.method != "GET":
        return
    for label, raw in evil.WIRE.items():
        yield replace(plain, place="wire", label=label, raw=raw)


def _templates(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """The value with the mark in every place in turn."""
    yield pointer or "/", HERE
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value[:1]))
    for key, one in inner:
        for place, template in _templates(one, f"{pointer}/{key}"):
            changed = dict(value) if isinstance(value, dict) else list(value)
            changed[key] = template
            yield place, changed


def _objects(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a body."""
    yield from ((pointer, found) for pointer, found in _places(value, "") if isinstance(found, dict))


def _places(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    yield pointer, value
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, f"{pointer}/{key}")


def _in(plain: Case, pointer: str, body: bytes) -> bytes:
    """The good body with these bytes in that place."""
    if not pointer:
        return body
    template = dict(_templates(plain.door.body))[pointer]
    return json.dumps(template).encode().replace(f'"{HERE}"'.encode(), body)
