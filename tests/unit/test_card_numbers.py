"""Anything like a card number in a confirmation is refused, and the refusal does not repeat it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from souk.kit.problem import ValidationFailed, rendered
from souk.orders.serializers import refuse_card_numbers

VISA = "4111111111111111"


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        (VISA, ""),
        ({"token": VISA}, "/token"),
        ({"token": int(VISA)}, "/token"),
        ({"token": "4111 1111 1111 1111"}, "/token"),
        ({"token": "4111-1111-1111-1111"}, "/token"),
        ({"token": "4 1 1 1-1 1 1 1-1 1 1 1-1 1 1 1"}, "/token"),
        ({"token": f"my card is {VISA}, please"}, "/token"),
        ({"token": f"tok_{VISA}"}, "/token"),
        ({"token": "378282246310005"}, "/token"),
        ({"token": "4222222222222"}, "/token"),
        ({"token": "6304000000000000000"}, "/token"),
        ({"token": "４１１１１１１１１１１１１１１１"}, "/token"),
        ({"a": [{"b": [1, VISA]}]}, "/a/0/b/1"),
        ({"a/b": {"c~d": VISA}}, "/a~1b/c~0d"),
        ({"first": 1, VISA: "x"}, "/1"),
        ({"\ud800": VISA}, "/0"),
    ],
)
def test_a_card_number_is_refused_wherever_it_stands_and_never_repeated(sent: Any, place: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        refuse_card_numbers(sent)
    assert [(error["pointer"], error["code"]) for error in refused.value.errors] == [(place, "card_number")]
    told = msgspec.json.decode(rendered(refused.value).content)
    assert told["status"] == 400
    assert not any(digits in str(told) for digits in (VISA, "1111", "0005", "2222", "0000", "１１１１"))


@pytest.mark.parametrize(
    "sent",
    [
        {"payment": {"method": "card", "token": "tok_ok"}},
        {"token": "4111111111111112"},
        {"token": "411111111111"},
        {"token": "41111111111111111111"},
        {"token": "4111.1111.1111.1111"},
        {"token": True},
        {"token": None},
        {"a": 1, "b": [2, {"c": 3}]},
    ],
)
def test_what_is_no_card_number_goes_through(sent: Any) -> None:
    refuse_card_numbers(sent)
