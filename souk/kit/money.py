"""Amounts of money: integers in minor units, with their ISO 4217 currency."""

from __future__ import annotations

from typing import Annotated

import msgspec

from souk.kit.parsing import Count, Shape, told

LARGEST_AMOUNT = 10**12

ISO_4217 = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY
    COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
    ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK
    MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF
    SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU
    UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(ISO_4217.split())
# How many digits of an amount stand behind the point, by ISO 4217, where these are not two.
DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
}

Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$"), told(enum=sorted(CURRENCIES))]
Amount = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_AMOUNT)]


class Total(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sum of amounts, which may be larger than any one price."""

    amount: Count
    currency: Currency


class Money(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount in minor units (cents) of an ISO 4217 currency."""

    amount: Amount
    currency: Currency

    def __post_init__(self) -> None:
        if self.currency not in CURRENCIES:
            raise ValueError(f"{self.currency} is no ISO 4217 currency")


def written(amount: int, currency: str) -> str:
    """Minor units as people write them: 1999 EUR is "19.99 EUR"."""
    digits = DIGITS.get(currency, 2)
    whole, rest = divmod(amount, 10**digits)
    return f"{whole:,}{f'.{rest:0{digits}}' if digits else ''} {currency}"
