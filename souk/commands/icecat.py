"""The map from the Open Icecat catalogue, as shared by search benchmarks, to import lines.

A brand is a seller. `t_product_type` becomes the tag, where it has a letter in it. The prices name no currency; they
are taken as EUR, so that one order may mix them with the demo catalogue. Icecat tells no stock: it is made from the id,
the same in every run, with one product in twenty sold out.
"""

from __future__ import annotations

import re
from typing import Any
from zlib import crc32

import msgspec

from souk.catalog.operations.naming import slug_of

LONGEST_TITLE = 200
LONGEST_TAG = 50
BREAK = re.compile(r"[ \t]*<br\s*/?>[ \t]*", re.IGNORECASE)


class IcecatProduct(msgspec.Struct):
    """What is used of a line; the rest (model, ean, release date, measurements) is left out."""

    id: str
    title: str
    brand: str
    price_cents: int
    description: str | None = None
    attributes: dict[str, Any] = {}


def line_of(raw: Any) -> dict[str, Any]:
    """The import line of a decoded icecat line. Raises msgspec.ValidationError."""
    product = msgspec.convert(raw, IcecatProduct)
    title, rest = _cut(product.title.strip())
    description = BREAK.sub("\n", product.description or "").strip()
    return {
        "external_id": product.id,
        "seller": product.brand,
        "title": title,
        "description": "\n\n".join(part for part in (rest, description) if part),
        "price": {"amount": product.price_cents, "currency": "EUR"},
        "stock": _stock(product.id),
        "tags": _tags(product.attributes.get("t_product_type")),
    }


def _cut(title: str) -> tuple[str, str]:
    """The title, and the whole of it again when it had to be cut (at a word, marked with an ellipsis)."""
    if len(title) <= LONGEST_TITLE:
        return title, ""
    words = title[: LONGEST_TITLE - 1].rsplit(" ", 1)[0].rstrip(" ,;-")
    return f"{words}…", title


def _stock(external_id: str) -> int:
    drawn = crc32(external_id.encode())
    return 0 if drawn % 20 == 0 else 1 + drawn % 199


def _tags(product_type: Any) -> list[str]:
    tag = slug_of(product_type)[:LONGEST_TAG].strip("-") if isinstance(product_type, str) else ""
    return [tag] if any(letter.isalpha() for letter in tag) else []
