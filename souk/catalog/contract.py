"""The contract of the doors of a seller's products, and of tags: what each says of itself. The API never loads it."""

from __future__ import annotations

from collections.abc import Mapping

from souk.catalog.operations.tagging import TagExists
from souk.catalog.serializers import (
    MovementIn,
    MovementOut,
    MovementsOut,
    NewTag,
    OwnProducts,
    ProductChange,
    ProductIn,
    ProductOut,
    ProductsOut,
    TagChange,
    TagName,
    TagOut,
    TagQuery,
    TagsOut,
)
from souk.kit.described import Description, Link
from souk.kit.machine import IllegalTransition
from souk.kit.parsing import Nothing, Page
from souk.kit.problem import Forbidden
from souk.stock.operations import StockBelowReserved

DOORS: Mapping[str, Description] = {
    "NewProduct.post": Description(
        name="create_product",
        summary="Offer a product",
        tag="Products",
        caller="user",
        body=ProductIn,
        answer=ProductOut,
        status=201,
        etag=True,
        links={
            name: Link(operation=name, parameters={"product_id": "$response.body#/id"})
            for name in (
                "get_product",
                "change_product",
                "archive_product",
                "activate_product",
                "list_stock_movements",
                "correct_stock",
                "delete_product",
                "set_bag_line",
            )
        },
        text="ACTIVE unless a state is sent. A tag that does not exist is `validation_failed` at its pointer.",
    ),
    "OneProduct.get": Description(
        name="get_product",
        summary="Show a product",
        tag="Products",
        caller="anyone",
        answer=ProductOut,
        etag=True,
        text="Drafts and archived products are shown to their seller alone, and so are the stock's counters.",
    ),
    "OneProduct.patch": Description(
        name="change_product",
        summary="Change a product",
        tag="Products",
        caller="user",
        body=ProductChange,
        answer=ProductOut,
        etag=True,
        if_match=True,
        refuses=(Forbidden, StockBelowReserved),
        text=(
            "What is left out stays; lists replace. `stock` is what was counted on hand. An ETag is `<edit>.<stock>`; "
            "If-Match compares the second part only when the stock is set."
        ),
    ),
    "OneProduct.delete": Description(
        name="delete_product",
        summary="Delete a product",
        tag="Products",
        caller="user",
        status=204,
        if_match=True,
        refuses=(Forbidden,),
        text="Holds that exist stand until their order ends.",
    ),
    "Activation.post": Description(
        name="activate_product",
        summary="Put a product on sale",
        tag="Products",
        caller="user",
        body=Nothing,
        answer=ProductOut,
        etag=True,
        if_match=True,
        refuses=(Forbidden, IllegalTransition),
    ),
    "Archiving.post": Description(
        name="archive_product",
        summary="Take a product off sale",
        tag="Products",
        caller="user",
        body=Nothing,
        answer=ProductOut,
        etag=True,
        if_match=True,
        refuses=(Forbidden, IllegalTransition),
    ),
    "MyProducts.get": Description(
        name="list_my_products",
        summary="List the caller's own products",
        tag="Products",
        caller="user",
        query=OwnProducts,
        answer=ProductsOut,
        text="In all states, what was made last first.",
    ),
    "TagOfProduct.put": Description(
        name="tag_product",
        summary="Put a tag on a product",
        tag="Products",
        caller="user",
        path={"name": TagName},
        body=Nothing,
        status=204,
        if_match=True,
        refuses=(Forbidden,),
        text="Repeatable.",
    ),
    "TagOfProduct.delete": Description(
        name="untag_product",
        summary="Take a tag off a product",
        tag="Products",
        caller="user",
        path={"name": TagName},
        status=204,
        if_match=True,
        refuses=(Forbidden,),
        text="Repeatable.",
    ),
    "StockMovements.get": Description(
        name="list_stock_movements",
        summary="List the stock movements of a product",
        tag="Products",
        caller="user",
        query=Page,
        answer=MovementsOut,
        refuses=(Forbidden,),
        text="The newest first; for the seller alone.",
    ),
    "StockMovements.post": Description(
        name="correct_stock",
        summary="Add to or take from what is on hand",
        tag="Products",
        caller="user",
        body=MovementIn,
        answer=MovementOut,
        status=201,
        if_match=True,
        refuses=(Forbidden, StockBelowReserved),
    ),
    "Tags.get": Description(
        name="list_tags",
        summary="Suggest tags, or list all of them",
        tag="Tags",
        caller="anyone",
        query=TagQuery,
        answer=TagsOut,
        text="`sort=used` is one page, the most used first; `sort=name` pages through all.",
    ),
    "Tags.post": Description(
        name="create_tag",
        summary="Make a tag",
        tag="Tags",
        caller="staff",
        body=NewTag,
        answer=TagOut,
        status=201,
        refuses=(TagExists,),
        links={
            name: Link(operation=name, parameters={"name": "$response.body#/name"})
            for name in ("get_tag", "change_tag", "delete_tag")
        },
    ),
    "OneTag.get": Description(
        name="get_tag",
        summary="Show a tag",
        tag="Tags",
        caller="anyone",
        path={"name": TagName},
        answer=TagOut,
    ),
    "OneTag.patch": Description(
        name="change_tag",
        summary="Rename or describe a tag",
        tag="Tags",
        caller="staff",
        path={"name": TagName},
        body=TagChange,
        answer=TagOut,
        refuses=(TagExists,),
    ),
    "OneTag.delete": Description(
        name="delete_tag",
        summary="Delete a tag",
        tag="Tags",
        caller="staff",
        path={"name": TagName},
        status=204,
    ),
}
