"""One description as one OpenAPI operation, with what every door of its kind answers besides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from souk.kit.described import Description
from souk.kit.door import Door
from souk.kit.idempotency import IdempotencyInProgress, IdempotencyKeyReused
from souk.kit.problem import (
    BodyTooLarge,
    DependencyUnavailable,
    Forbidden,
    MalformedRequest,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    Refused,
    UnsupportedMediaType,
    ValidationFailed,
    VersionMismatch,
)
from souk.kit.ratelimit import RateLimited
from souk.web.contract.examples import Examples
from souk.web.contract.headers import REQUEST_HEADERS, header
from souk.web.contract.shapes import REF, Schema, Shapes, without_null

PROBLEM = {"$ref": f"{REF}Problem"}
FORM = "application/x-www-form-urlencoded"
PARAMETER = re.compile(r"{(\w+)}")
PUBLIC: list[dict[str, list[str]]] = [{}, {"bearer": []}]
CALLERS: Mapping[str, tuple[str, list[dict[str, list[str]]]]] = {
    "anyone": ("", PUBLIC),
    "user": ("", [{"bearer": []}]),
    "staff": ("For staff only. ", [{"bearer": []}]),
}
LIMITED = ("X-Request-ID", "RateLimit", "RateLimit-Policy")
# Refusals that every door gives alike when they are the only ones with their status, and the headers of their answers.
EVERYWHERE: Mapping[type[Refused], tuple[str, ...]] = {
    NotAuthenticated: (*LIMITED, "WWW-Authenticate"),
    NotFound: LIMITED,
    NotAcceptable: ("X-Request-ID",),
    VersionMismatch: LIMITED,
    BodyTooLarge: LIMITED,
    UnsupportedMediaType: LIMITED,
    IdempotencyKeyReused: LIMITED,
    RateLimited: (*LIMITED, "Retry-After"),
    DependencyUnavailable: (*LIMITED, "Retry-After"),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a description stands: its address, its method, and the class of its view, where it has one."""

    path: str
    method: str
    view: type | None
    description: Description

    @property
    def is_door(self) -> bool:
        """Whether tokens, limits and content negotiation are looked at."""
        return self.view is not None and issubclass(self.view, Door)

    @property
    def is_idempotent(self) -> bool:
        """Whether an Idempotency-Key is honoured."""
        signed_in = self.description.caller != "anyone"
        return self.method == "POST" and signed_in and bool(getattr(self.view, "idempotent", False))


def operation_of(place: Place, shapes: Shapes, examples: Examples) -> Schema:
    """The whole operation."""
    told = place.description
    who, security = CALLERS[told.caller]
    operation: Schema = {
        "operationId": told.name,
        "summary": told.summary,
        "tags": [told.tag],
        "parameters": _parameters(place, shapes),
        "security": security if place.is_door else _security_of_plain(told),
    }
    if who or told.text:
        operation["description"] = (who + told.text).strip()
    if told.body is not None or told.form is not None:
        operation["requestBody"] = _request_body(told, shapes, examples)
    operation["responses"] = _responses(place, shapes, examples)
    return {name: value for name, value in operation.items() if value not in ([], None)}


def refusals_of(place: Place) -> list[type[Refused]]:
    """Every refusal that this operation can answer with, those of all doors of its kind first."""
    told, found = place.description, list[type[Refused]]()
    if place.is_door:
        found += [MalformedRequest, NotAuthenticated, NotAcceptable, RateLimited, DependencyUnavailable]
    if told.body is not None:
        found += [ValidationFailed, BodyTooLarge, UnsupportedMediaType]
    elif place.is_door and place.method != "GET":
        found.append(BodyTooLarge)  # a body that nobody asked for is read all the same
    if PARAMETER.search(place.path):
        found.append(NotFound)
    if told.caller == "staff":
        found.append(Forbidden)
    if told.if_match:
        found.append(VersionMismatch)
    if place.is_idempotent:
        found += [IdempotencyInProgress, IdempotencyKeyReused]
    return list(dict.fromkeys([*found, *told.refuses]))


def _security_of_plain(told: Description) -> list[dict[str, list[str]]]:
    return [{}, {"client": []}] if told.form is not None else []


def _parameters(place: Place, shapes: Shapes) -> list[Schema]:
    told = place.description
    found: list[Schema] = []
    for name in PARAMETER.findall(place.path):
        schema = shapes.of(told.path[name]) if name in told.path else {"type": "string", "format": "uuid"}
        found.append({"in": "path", "name": name, "required": True, "schema": schema})
    if told.query is not None:
        found += _query(shapes.inner(told.query))
    if place.is_idempotent:
        found.append(REQUEST_HEADERS["Idempotency-Key"])
    if told.if_match:
        found.append(REQUEST_HEADERS["If-Match"])
    if told.etag and place.method == "GET":
        found.append(REQUEST_HEADERS["If-None-Match"])
    return found


def _query(component: Schema) -> list[Schema]:
    found = []
    for name, field in component["properties"].items():
        schema = without_null(field)
        parameter: Schema = {"in": "query", "name": name, "schema": schema}
        if name in component.get("required", ()):
            parameter["required"] = True
        if "description" in schema:
            parameter["description"] = schema.pop("description")
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": True}
        found.append(parameter)
    return found


def _request_body(told: Description, shapes: Shapes, examples: Examples) -> Schema:
    media, shape = ("application/json", told.body) if told.form is None else (FORM, told.form)
    content: Schema = {"schema": shapes.of(shape)}
    if shown := examples.of(told.name).requests():
        content["examples"] = shown
    # A shape without a field that must be there may be left out where the address says everything.
    return {"required": shape is None or bool(shape.__struct_fields__), "content": {media: content}}


def _responses(place: Place, shapes: Shapes, examples: Examples) -> Schema:
    told = place.description
    found: Schema = {str(told.status): _success(place, shapes, examples)}
    if told.etag and place.method == "GET":
        found["304"] = {
            "description": "The caller has this version already.",
            "headers": {"ETag": header("ETag")} | _headers(place, 304),
        }
    by_status: dict[int, list[type[Refused]]] = {}
    for refused in refusals_of(place):
        by_status.setdefault(refused.status, []).append(refused)
    for status, refusals in by_status.items():
        found[str(status)] = (
            {"$ref": f"#/components/responses/{refusals[0].__name__}"}
            if place.is_door and len(refusals) == 1 and refusals[0] in EVERYWHERE
            else _problem(_headers(place, status), refusals, examples.of(place.description.name))
        )
    for status, why in told.failures.items():
        content: Schema = {"schema": shapes.of(told.failure)}
        if shown := examples.of(told.name).answers(status):
            content["examples"] = shown
        found[str(status)] = {
            "description": why,
            "headers": _headers(place, status),
            "content": {"application/json": content},
        }
    return dict(sorted(found.items()))


def _success(place: Place, shapes: Shapes, examples: Examples) -> Schema:
    told = place.description
    answer: Schema = {"description": told.summary, "headers": _headers(place, told.status)}
    if told.answer is not None:
        content: Schema = {"schema": shapes.of(told.answer)}
        if shown := examples.of(told.name).answers(told.status):
            content["examples"] = shown
        answer["content"] = {"application/json": content}
    for media in told.media:
        answer.setdefault("content", {})[media] = {"schema": {"type": "string"}}
    if told.links:
        answer["links"] = {
            name: {"operationId": link.operation, "parameters": dict(link.parameters)}
            | ({"requestBody": link.body} if link.body is not None else {})
            for name, link in told.links.items()
        }
    return answer


def shared_responses(examples: Examples) -> Schema:
    """The answers that many doors give alike, as components."""
    return {
        refused.__name__: _problem({name: header(name) for name in names}, [refused], examples)
        for refused, names in EVERYWHERE.items()
    }


def _problem(headers: Schema, refusals: list[type[Refused]], examples: Examples) -> Schema:
    codes = [refused.code for refused in refusals]
    content: Schema = {"schema": PROBLEM}
    if shown := examples.problems(codes):
        content["examples"] = shown
    return {
        "description": " ".join(f"`{refused.code}`: {refused.title}." for refused in refusals),
        "headers": headers,
        "content": {"application/problem+json": content},
        "x-problem-codes": codes,
    }


def _headers(place: Place, status: int) -> Schema:
    """The headers of an answer with this status."""
    told = place.description
    names = ["X-Request-ID"]
    if told.limited or (place.is_door and status != 406):
        names += ["RateLimit", "RateLimit-Policy"]
    if status == told.status:
        if told.etag:
            names.append("ETag")
        if status == 201:
            names.append("Location")
        if "next" in getattr(told.answer, "__struct_fields__", ()):
            names.append("Link")
        if place.is_idempotent:
            names.append("Idempotent-Replayed")
    if status == 401:
        names.append("WWW-Authenticate")
    if status in (429, 503) or (status == 409 and place.is_idempotent):
        names.append("Retry-After")
    return {name: header(name) for name in names}
