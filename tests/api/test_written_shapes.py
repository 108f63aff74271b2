"""What PostgreSQL writes as JSON has the shapes that are documented, field by field."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from souk.catalog.models import Product
from souk.catalog.operations.tagging import create_tag
from souk.catalog.serializers import Image, ProductOut, ProductsOut, SellerOut, StockOut, TagsOut
from souk.kit.entity import moment_of
from souk.kit.money import Money
from souk.search.serializers import FoundOut
from tests.callers import Api, SignedIn

AWKWARD = 'a "quoted" \\ name,\nwith\ttabs, \u20ac \U0001f600 \x1f and </script>'
SHAPES = (
    ("/products", ProductsOut),
    ("/products?q=quoted", FoundOut),
    ("/products?q=quotd", FoundOut),
    ("/tags", TagsOut),
    ("/tags?prefix=w", TagsOut),
)


def offered(seller: SignedIn) -> dict[str, Any]:
    """A product whose texts are hard to write as JSON."""
    create_tag(name="wood")
    seller.patch("/me", {"display_name": 'The "best" \\ shop \u05d0'})
    made = seller.post(
        "/products",
        {
            "title": AWKWARD,
            "description": AWKWARD * 3,
            "price": {"amount": 10**12, "currency": "JPY"},
            "stock": 3,
            "tags": ["wood"],
            "images": [{"url": "https://example.org/a.png", "alt": AWKWARD}],
            "state": "DRAFT",
        },
    )
    assert (made.body["title"], made.body["published"]) == (AWKWARD, None)
    assert seller.post(f"/products/{made.body['id']}/activate").status == 200
    return dict(made.body)


def test_every_list_has_every_field_of_its_shape_and_no_other(seller: SignedIn) -> None:
    address = f"/products/{offered(seller)['id']}"
    for viewer in (seller, Api()):
        for path, shape in ((address, ProductOut), *SHAPES):
            msgspec.convert(viewer.get(path).body, shape)
    msgspec.convert(seller.get("/me/products").body, ProductsOut)


def test_a_product_is_told_as_its_row_says(seller: SignedIn) -> None:
    made = offered(seller)
    address, row = f"/products/{made['id']}", Product.objects.get(pk=made["id"])
    shown = msgspec.convert(seller.get(address).body, ProductOut)
    assert shown == ProductOut(
        id=row.pk,
        seller=SellerOut(id=UUID(seller.id), username="seller", display_name='The "best" \\ shop \u05d0'),
        title=AWKWARD,
        description=AWKWARD * 3,
        price=Money(amount=10**12, currency="JPY"),
        available=3,
        state="ACTIVE",
        tags=["wood"],
        images=[Image(url="https://example.org/a.png", alt=AWKWARD)],
        published=moment_of(row.published_id),
        created=row.created,
        updated=row.updated,
        allowed_actions=["edit", "archive", "delete"],
        stock=StockOut(on_hand=3, reserved=0),
    )
    assert msgspec.convert(Api().get(address).body, ProductOut) == replace(shown, allowed_actions=[], stock=UNSET)
