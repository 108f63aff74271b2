"""The contract of the doors of finding products: what each says of itself. The API never loads it."""

from __future__ import annotations

from collections.abc import Mapping

from souk.catalog.serializers import ProductsOut
from souk.kit.described import Description
from souk.kit.parsing import Page
from souk.search.serializers import FoundOut, ProductQuery

SEARCHING = """\
`q` takes words, `"phrases"`, `-not` and `or`, over title, description and tags; at most 10 terms. Every `tag` must
match. With `q` there is always `did_you_mean`: when set, nothing matched and `results` are those of that spelling.
"""

DOORS: Mapping[str, Description] = {
    "Products.get": Description(
        name="search_products",
        summary="Find products",
        tag="Products",
        caller="anyone",
        query=ProductQuery,
        answer=FoundOut,
        text=SEARCHING,
    ),
    "ProductsOfUser.get": Description(
        name="list_user_products",
        summary="List what a user sells",
        tag="Products",
        caller="anyone",
        query=Page,
        answer=ProductsOut,
        text="ACTIVE products, the newest first.",
    ),
    "Feed.get": Description(
        name="list_feed",
        summary="List new products of followed sellers",
        tag="Accounts",
        caller="user",
        query=Page,
        answer=ProductsOut,
        text="The newest first.",
    ),
}
