"""Within v1 nothing breaks a client that was written for 0.1.0 (docs/versioning.md)."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from souk.settings import CHECKOUT
from tests.compatibility import breaks

BASELINE: dict[str, Any] = json.loads((CHECKOUT / "tests" / "baseline" / "openapi-0.1.0.json").read_text("utf-8"))
CONTRACT: dict[str, Any] = json.loads((CHECKOUT / "docs" / "openapi.json").read_text("utf-8"))


# Changes that the comparison cannot tell from breaking ones, and why they break nobody.
HARMLESS = (
    # The list took no `limit` before; who sends none still gets all four, and null.
    "GET /api/v1/machines: 200/next: type was null, is None",
    "GET /api/v1/machines: 200/next: other kinds of value than before",
    # A key may have blanks inside, which were taken all along: every value of the old pattern is one of the new.
    "parameter Idempotency-Key: pattern was ^([!#-~]{1,255}|",
)


def test_nothing_that_a_client_of_the_first_release_relies_on_has_changed() -> None:
    assert [one for one in breaks(BASELINE, CONTRACT) if not any(known in one for known in HARMLESS)] == []


def schema(contract: dict[str, Any], name: str) -> Any:
    return contract["components"]["schemas"][name]


def forget_a_door(contract: dict[str, Any]) -> None:
    del contract["paths"]["/api/v1/bag"]["get"]


def forget_a_field(contract: dict[str, Any]) -> None:
    del schema(contract, "Order")["properties"]["expires_at"]


def ask_for_more(contract: dict[str, Any]) -> None:
    schema(contract, "RegisterRequest")["required"].append("email")


def take_less(contract: dict[str, Any]) -> None:
    schema(contract, "ProductRequest")["properties"]["title"]["maxLength"] = 100


def take_fewer_words(contract: dict[str, Any]) -> None:
    schema(contract, "ProductRequest")["properties"]["state"]["enum"].remove("DRAFT")


def tell_another_type(contract: dict[str, Any]) -> None:
    schema(contract, "Total")["properties"]["amount"]["type"] = "string"


def tell_less_surely(contract: dict[str, Any]) -> None:
    schema(contract, "Product")["required"].remove("available")


def call_it_otherwise(contract: dict[str, Any]) -> None:
    contract["paths"]["/api/v1/orders"]["post"]["operationId"] = "create_order"


def lock_a_public_door(contract: dict[str, Any]) -> None:
    contract["paths"]["/api/v1/products"]["get"]["security"] = [{"bearer": []}]


def drop_a_parameter(contract: dict[str, Any]) -> None:
    parameters = contract["paths"]["/api/v1/products"]["get"]["parameters"]
    parameters[:] = [one for one in parameters if one.get("name") != "tag"]


def drop_a_header(contract: dict[str, Any]) -> None:
    del contract["paths"]["/api/v1/orders"]["post"]["responses"]["201"]["headers"]["Location"]


def move_a_code(contract: dict[str, Any]) -> None:
    responses = contract["paths"]["/api/v1/orders"]["post"]["responses"]
    responses["409"]["x-problem-codes"].remove("out_of_stock")
    responses["422"] = {**responses["409"], "x-problem-codes": ["out_of_stock"]}


@pytest.mark.parametrize(
    "change",
    [
        forget_a_door, forget_a_field, ask_for_more, take_less, take_fewer_words, tell_another_type, tell_less_surely,
        call_it_otherwise, lock_a_public_door, drop_a_parameter, drop_a_header, move_a_code,
    ],
)  # fmt: skip
def test_a_breaking_change_is_found(change: Callable[[dict[str, Any]], None]) -> None:
    changed = copy.deepcopy(CONTRACT)
    change(changed)
    assert breaks(CONTRACT, changed) != []


@pytest.mark.parametrize("name", CONTRACT["components"]["schemas"])
def test_no_field_can_go_unnoticed(name: str) -> None:
    changed = copy.deepcopy(CONTRACT)
    fields = schema(changed, name).pop("properties", {})
    found = breaks(CONTRACT, changed)
    assert [field for field in fields if not any(one.endswith(f"/{field} is gone") for one in found)] == []


def test_no_header_of_an_answer_can_go_unnoticed() -> None:
    changed = copy.deepcopy(CONTRACT)
    answers = [
        answer for path in changed["paths"].values() for one in path.values() for answer in one["responses"].values()
    ]
    count = sum(len(answer.pop("headers", ())) for answer in answers)
    found = [one for one in breaks(CONTRACT, changed) if "header" in one]
    assert len(found) == count > 300


def add_a_field(contract: dict[str, Any]) -> None:
    schema(contract, "Order")["properties"]["gift"] = {"type": "boolean"}
    schema(contract, "Order")["required"].append("gift")


def take_more(contract: dict[str, Any]) -> None:
    schema(contract, "ProductRequest")["properties"]["title"]["maxLength"] = 300
    schema(contract, "ProductRequest")["properties"]["weight"] = {"type": "integer"}


def tell_a_new_word(contract: dict[str, Any]) -> None:
    schema(contract, "Event")["properties"]["type"]["enum"].append("order.shipped")


def add_a_door(contract: dict[str, Any]) -> None:
    contract["paths"]["/api/v1/gifts"] = contract["paths"]["/api/v1/bag"]


@pytest.mark.parametrize("change", [add_a_field, take_more, tell_a_new_word, add_a_door])
def test_what_may_come_within_a_version_is_no_breaking_change(change: Callable[[dict[str, Any]], None]) -> None:
    changed = copy.deepcopy(CONTRACT)
    change(changed)
    assert breaks(CONTRACT, changed) == []
