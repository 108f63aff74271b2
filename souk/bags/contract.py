"""The contract of the doors of the bag: what each says of itself. The API never loads it."""

from __future__ import annotations

from collections.abc import Mapping

from souk.bags.serializers import BagOut, QuantityIn
from souk.kit.described import Description, Link
from souk.kit.parsing import Nothing

DOORS: Mapping[str, Description] = {
    "OpenBag.get": Description(
        name="get_bag",
        summary="Show the caller's open bag",
        tag="Bag",
        caller="user",
        answer=BagOut,
        etag=True,
        text="It is made when it is first looked at.",
    ),
    "OneLine.put": Description(
        name="set_bag_line",
        summary="Put a product into the bag, or change how many",
        tag="Bag",
        caller="user",
        body=QuantityIn,
        answer=BagOut,
        etag=True,
        if_match=True,
        links={"order_bag": Link(operation="order_bag"), "get_bag": Link(operation="get_bag")},
        text="Nothing is held. Too little stock is taken and shown in `problems`. A bag has at most 100 lines.",
    ),
    "OneLine.delete": Description(
        name="remove_bag_line",
        summary="Take a product out of the bag",
        tag="Bag",
        caller="user",
        body=Nothing,
        status=204,
        if_match=True,
        text="Repeatable.",
    ),
    "AllLines.delete": Description(
        name="empty_bag",
        summary="Empty the bag",
        tag="Bag",
        caller="user",
        body=Nothing,
        status=204,
        if_match=True,
        text="Repeatable.",
    ),
}
