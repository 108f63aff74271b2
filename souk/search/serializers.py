"""The queries of the product lists, and their pages."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from souk.catalog.serializers import ProductOut
from souk.kit.money import CURRENCIES, Amount
from souk.kit.parsing import Page, Shape, told
from souk.kit.problem import MalformedRequest

MOST_TERMS = 10
TERM = re.compile(r"\w+(?:[-'’./@:&+]\w+)*")


class ProductQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `GET /products` can be asked for."""

    q: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    tag: Annotated[list[Annotated[str, msgspec.Meta(max_length=50)]], msgspec.Meta(max_length=20)] = []
    seller: UUID | None = None
    available: Annotated[bool, told(const=True)] | None = None
    min_price: Amount | None = None
    max_price: Amount | None = None
    currency: Annotated[str, msgspec.Meta(max_length=3), told(enum=sorted(CURRENCIES))] | None = None
    id: Annotated[list[UUID], msgspec.Meta(max_length=100)] = []
    sort: Literal["newest", "relevance"] = "newest"

    def words(self) -> str | None:
        """What is searched for; None when nothing is (a blank `q` searches for nothing). Raises MalformedRequest."""
        if self.q is None or not self.q.strip():
            return None
        terms = [term for term in TERM.findall(self.q) if term.lower() != "or"]
        if len(terms) > MOST_TERMS:
            raise _refused("q", f"At most {MOST_TERMS} terms, please.")
        return self.q

    def checked(self) -> ProductQuery:
        """Itself, when its parts go together. Raises MalformedRequest."""
        if self.available is False:
            raise _refused("available", "Only what is available can be asked for.")
        if self.currency is None and (self.min_price is not None or self.max_price is not None):
            raise _refused("currency", "A price is in a currency.")
        if self.currency is not None and self.currency not in CURRENCIES:
            raise _refused("currency", "There is no such currency in ISO 4217.")
        return self


def _refused(parameter: str, detail: str) -> MalformedRequest:
    error = {"parameter": parameter, "code": "invalid", "detail": detail}
    return MalformedRequest("Some query parameters are not acceptable.", errors=[error])


class FoundOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of products that were searched for.

    `did_you_mean` is there whenever `q` is: a spelling that matches when the one that was asked does not; `results` are
    of it then.
    """

    results: list[ProductOut]
    next: str | None
    did_you_mean: str | UnsetType | None = UNSET
