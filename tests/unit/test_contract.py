"""docs/openapi.json is valid, whole, and what the examples of a running server look like, field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import get_resolver
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from souk.settings import CHECKOUT
from souk.web import pages
from souk.web.contract.generator import Undescribed, described, description_of, doors_of, handlers_of, view_of
from souk.web.contract.operations import Place

CONTRACT: dict[str, Any] = json.loads((CHECKOUT / "docs" / "openapi.json").read_text(encoding="utf-8"))
EXAMPLES = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted((CHECKOUT / "docs" / "examples").glob("*.json"))
}
# Every door of the wire: what clients and checks are written against.
DOORS = """
POST /oauth/token
POST /oauth/revoke
GET /.well-known/oauth-authorization-server
GET,POST /api/v1/users
GET /api/v1/users/{user_id}
GET,PATCH /api/v1/me
POST /api/v1/me/delete
POST /api/v1/me/password
POST /api/v1/password-resets
POST /api/v1/password-resets/confirm
POST /api/v1/email-verifications/confirm
GET /api/v1/users/{user_id}/products
GET /api/v1/me/products
PUT,DELETE /api/v1/users/{user_id}/follow
GET /api/v1/users/{user_id}/followers
GET /api/v1/me/following
GET /api/v1/me/feed
GET,POST /api/v1/products
GET,PATCH,DELETE /api/v1/products/{product_id}
POST /api/v1/products/{product_id}/activate
POST /api/v1/products/{product_id}/archive
PUT,DELETE /api/v1/products/{product_id}/tags/{name}
GET,POST /api/v1/products/{product_id}/stock-movements
GET,POST /api/v1/tags
GET,PATCH,DELETE /api/v1/tags/{name}
GET /api/v1/bag
PUT,DELETE /api/v1/bag/lines/{product_id}
DELETE /api/v1/bag/lines
POST /api/v1/bag/order
GET,POST /api/v1/orders
GET /api/v1/orders/{order_id}
POST /api/v1/orders/{order_id}/confirm
POST /api/v1/orders/{order_id}/cancel
GET /api/v1/orders/{order_id}/history
GET /api/v1/sales
GET /api/v1/sales/{order_id}
GET /api/v1/machines
GET /api/v1/machines/{name}
GET /api/v1/events
POST /api/v1/live/tickets
GET,POST /api/v1/webhooks
GET,PATCH,DELETE /api/v1/webhooks/{webhook_id}
POST /api/v1/webhooks/{webhook_id}/rotate
POST /api/v1/webhooks/{webhook_id}/test
POST /api/v1/webhooks/{webhook_id}/replay
GET /api/v1/webhooks/{webhook_id}/deliveries
GET /health/live
GET /health/ready
GET /metrics
GET /api/v1/openapi.json
GET /api/v1/docs
GET /api/v1/redoc
"""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in CONTRACT["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    while "$ref" in value:
        found: Any = CONTRACT
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        value = found
    return value


def callbacks(resolver: Any) -> Iterator[Any]:
    for one in resolver.url_patterns:
        yield from callbacks(one) if hasattr(one, "url_patterns") else (one.callback,)


BY_NAME = {operation["operationId"]: (path, method, operation) for path, method, operation in operations()}


def test_the_contract_is_valid_openapi() -> None:
    validate(CONTRACT)
    assert CONTRACT["openapi"].startswith("3.1")


def test_every_door_of_the_wire_is_in_the_contract_and_nothing_else() -> None:
    wire = {
        (path, method)
        for methods, path in (line.split() for line in DOORS.strip().splitlines())
        for method in methods.split(",")
    }
    assert {(path, method) for path, method, _ in operations()} == wire


def test_a_door_that_says_nothing_of_itself_stops_the_contract() -> None:
    class Silent:
        def get(self) -> None: ...

    def callback() -> None: ...

    callback.cls = Silent  # type: ignore[attr-defined]  # where REST framework keeps the class of a view
    with pytest.raises(Undescribed, match="Silent"):
        described(callback)


def test_nothing_is_said_of_a_door_that_is_not_there() -> None:
    handlers = [handler for callback in callbacks(get_resolver()) for _, handler in handlers_of(callback)]
    packages = {handler.__module__.rpartition(".")[0] for handler in handlers if handler.__module__.startswith("souk.")}
    said = {(package, name) for package in packages for name in doors_of(package)}
    assert said
    assert said - {(handler.__module__.rpartition(".")[0], handler.__qualname__) for handler in handlers} == set()


def test_every_operation_has_a_name_a_summary_and_a_known_tag() -> None:
    tags = {tag["name"] for tag in CONTRACT["tags"]}
    wrong = [
        f"{method} {path}"
        for path, method, operation in operations()
        if not re.fullmatch(r"[a-z]+(_[a-z]+)+", operation["operationId"])
        or not operation["summary"]
        or not set(operation["tags"]) <= tags
    ]
    assert wrong == []
    assert len(BY_NAME) == len(list(operations()))


def test_every_link_leads_to_an_operation_that_takes_its_parameters() -> None:
    count = 0
    for _, _, operation in operations():
        for response in operation["responses"].values():
            for link in resolved(response).get("links", {}).values():
                _, _, target = BY_NAME[link["operationId"]]
                taken = {resolved(parameter)["name"] for parameter in target["parameters"]}
                assert link["parameters"].keys() <= taken
                count += 1
    assert count > 20


def test_every_problem_that_can_be_answered_has_a_page() -> None:
    assert get_resolver().url_patterns  # every room is loaded, as in a server
    codes = {
        code
        for _, _, operation in operations()
        for response in operation["responses"].values()
        for code in resolved(response).get("x-problem-codes", ())
    }
    assert codes <= pages.problems().keys()
    # Told by every address, or by none that is described.
    assert pages.problems().keys() - codes == {"method_not_allowed", "internal_error"}
    assert [code for code, refused in pages.problems().items() if not refused.advice or not refused.__doc__] == []


def strictly(schema: Any) -> Any:
    """The schema with every object closed: an answer has no field that the contract does not name."""
    if isinstance(schema, dict):
        closed = {name: strictly(inner) for name, inner in schema.items()}
        if isinstance(schema.get("properties"), dict):
            closed["additionalProperties"] = False
        return closed
    return [strictly(inner) for inner in schema] if isinstance(schema, list) else schema


STRICT = strictly(CONTRACT["components"])


def faults(exchange: dict[str, Any], operation: dict[str, Any]) -> list[str]:
    """What is not in a real answer as the contract says."""
    answer, status = exchange["answer"], str(exchange["answer"]["status"])
    if status in ("405", "500"):
        return []  # told of all addresses at once, and of none
    if status not in operation["responses"]:
        return [f"{status} is not described"]
    told = resolved(operation["responses"][status])
    headers = {name: resolved(header) for name, header in told.get("headers", {}).items()}
    found = [f"{name} is not described" for name in answer["headers"] if name != "Allow" and name not in headers]
    if (codes := told.get("x-problem-codes")) is not None and answer["body"]["code"] not in codes:
        found.append(f"{answer['body']['code']} is not described")
    if "content" not in told:
        return found + ([] if answer["body"] is None else ["there is a body"])
    schema = {**strictly(next(iter(told["content"].values()))["schema"]), "components": STRICT}
    return found + [error.message for error in Draft202012Validator(schema).iter_errors(answer["body"])]


def test_what_a_running_server_answered_is_as_the_contract_says_field_by_field() -> None:
    assert len(EXAMPLES) > 50
    assert EXAMPLES.keys() <= BY_NAME.keys()
    wrong = {
        f"{name}: {exchange['title']}": found
        for name, exchanges in EXAMPLES.items()
        for exchange in exchanges
        if (found := faults(exchange, BY_NAME[name][2]))
    }
    assert wrong == {}


def test_every_request_of_the_examples_that_was_taken_fits_its_schema() -> None:
    wrong = {}
    for name, exchanges in EXAMPLES.items():
        body = BY_NAME[name][2].get("requestBody")
        for exchange in exchanges:
            if body is None or exchange["request"]["body"] is None or exchange["answer"]["status"] >= 300:
                continue
            schema = {**next(iter(body["content"].values()))["schema"], "components": CONTRACT["components"]}
            errors = [error.message for error in Draft202012Validator(schema).iter_errors(exchange["request"]["body"])]
            if errors:
                wrong[f"{name}: {exchange['title']}"] = errors
    assert wrong == {}


def test_a_door_keeps_answers_under_a_key_where_the_contract_says_so_and_nowhere_else() -> None:
    posts = [
        Place(path="", method="POST", view=view_of(callback), description=description)
        for callback in callbacks(get_resolver())
        for method, handler in handlers_of(callback)
        if method == "post" and (description := description_of(handler))
    ]
    kept = [place.view for place in posts if place.is_door and getattr(place.view, "idempotent", False)]
    assert kept == [place.view for place in posts if place.is_idempotent]
    assert len(kept) > 10
