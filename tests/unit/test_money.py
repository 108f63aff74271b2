"""Money: an integer in minor units with a currency that exists."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from souk.kit.money import CURRENCIES, Money
from souk.kit.parsing import shaped
from souk.kit.problem import ValidationFailed


@pytest.mark.parametrize("amount", [0, 1, 1999, 10**12])
def test_amounts_go_from_nothing_to_a_million_million(amount: int) -> None:
    assert shaped(Money, {"amount": amount, "currency": "EUR"}) == Money(amount=amount, currency="EUR")


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ({"amount": -1, "currency": "EUR"}, "/amount"),
        ({"amount": 10**12 + 1, "currency": "EUR"}, "/amount"),
        ({"amount": 10**400, "currency": "EUR"}, "/amount"),
        ({"amount": 19.99, "currency": "EUR"}, "/amount"),
        ({"amount": 20.0, "currency": "EUR"}, "/amount"),
        ({"amount": "1999", "currency": "EUR"}, "/amount"),
        ({"amount": True, "currency": "EUR"}, "/amount"),
        ({"amount": None, "currency": "EUR"}, "/amount"),
        ({"currency": "EUR"}, "/amount"),
        ({"amount": 1}, "/currency"),
        ({"amount": 1, "currency": "eur"}, "/currency"),
        ({"amount": 1, "currency": "EURO"}, "/currency"),
        ({"amount": 1, "currency": 978}, "/currency"),
        ({"amount": 1, "currency": "EUR", "cents": 1}, "/cents"),
        ({"amount": 1, "currency": "ABC"}, ""),
        ({"amount": 1, "currency": "EUR\n"}, ""),
        ("1999 EUR", ""),
        (1999, ""),
    ],
)
def test_everything_else_is_refused_at_its_place(sent: Any, place: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        shaped(Money, sent)
    assert [error["pointer"] for error in refused.value.errors] == [place]


def test_currencies_are_those_of_iso_4217_that_people_pay_with() -> None:
    assert {"EUR", "USD", "BRL", "JPY", "CHF"} <= CURRENCIES
    assert {"XXX", "XTS", "DEM", "BTC"}.isdisjoint(CURRENCIES)
    assert all(len(code) == 3 and code.isupper() and code.isascii() for code in CURRENCIES)


def test_money_is_written_as_the_wire_says() -> None:
    assert msgspec.json.encode(Money(amount=1999, currency="EUR")) == b'{"amount":1999,"currency":"EUR"}'
