"""The shapes of products, in and out."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from souk.catalog.machine import ProductMachine
from souk.kit.machine import states_of
from souk.kit.money import Money
from souk.kit.parsing import Count, Cursor, Limit, Moment, Page, Shape, told, words_of
from souk.stock.models import Movement

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"\S")]
Description = Annotated[str, msgspec.Meta(max_length=10_000)]
OnHand = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
TAG_NAME = re.compile(r"(?=.{1,50}\Z)[a-z0-9]+(-[a-z0-9]+)*")
TagName = Annotated[str, msgspec.Meta(max_length=50, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)")]
TagDescription = Annotated[str, msgspec.Meta(max_length=1000)]
TagNames = Annotated[list[Annotated[TagName, told(format="tag-name")]], msgspec.Meta(max_length=20)]
ProductState = Annotated[str, words_of(*states_of(ProductMachine))]
ProductAction = Annotated[str, words_of("edit", "activate", "archive", "delete")]
# An https link in the signs of RFC 3986.
SIGNS = "([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
LINK = re.compile(
    rf"^https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{{1,5}})?(/{SIGNS})?([?]{SIGNS})?(#{SIGNS})?$"
)


class Image(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture somewhere else: an https link, never fetched by Souk."""

    url: Annotated[str, msgspec.Meta(max_length=2000), told(format="uri", pattern=LINK.pattern)]
    alt: Annotated[str, msgspec.Meta(max_length=300)] = ""

    def __post_init__(self) -> None:
        if not LINK.fullmatch(self.url):
            raise ValueError("A picture is an https link")


Images = Annotated[list[Image], msgspec.Meta(max_length=10)]


class ProductIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a seller sends for a new product."""

    title: Title
    description: Description = ""
    price: Money
    stock: OnHand
    tags: TagNames = []
    images: Images = []
    state: Literal["DRAFT", "ACTIVE"] = "ACTIVE"


class ProductChange(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a seller sends to change a product. Lists replace; `stock` is what was counted on hand."""

    title: Title | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    price: Money | UnsetType = UNSET
    stock: OnHand | UnsetType = UNSET
    tags: TagNames | UnsetType = UNSET
    images: Images | UnsetType = UNSET

    def sent(self) -> dict[str, Any]:
        """The fields that were sent, pictures as plain data."""
        found = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}
        if "images" in found:
            found["images"] = msgspec.to_builtins(found["images"])
        return found


class OwnProducts(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a seller's own list."""

    state: Literal["DRAFT", "ACTIVE", "ARCHIVED"] | None = None


class SellerOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A seller, wherever one is named."""

    id: UUID
    username: str
    display_name: str


class StockOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The counters, for the seller alone."""

    on_hand: Count
    reserved: Count


class ProductOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=False):
    """A product, as it is shown."""

    id: UUID
    seller: SellerOut
    title: str
    description: str
    price: Money
    available: Count
    state: ProductState
    tags: list[str]
    images: list[Image]  # as they were stored, not judged again
    published: Moment | None
    created: Moment
    updated: Moment
    allowed_actions: list[ProductAction]
    stock: StockOut | UnsetType = UNSET


class ProductsOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of products."""

    results: list[ProductOut]
    next: str | None


class NewTag(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What staff send for a new tag."""

    name: TagName
    description: TagDescription = ""


class TagChange(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What staff send to change a tag."""

    name: TagName | UnsetType = UNSET
    description: TagDescription | UnsetType = UNSET

    def sent(self) -> dict[str, str]:
        """The fields that were sent."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}


class TagQuery(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET /tags`: most used first is one page of ten, by name pages through all."""

    limit: Limit | None = None
    cursor: Cursor | None = None
    prefix: Annotated[str, msgspec.Meta(max_length=50)] = ""
    sort: Literal["used", "name"] = "used"


class TagOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tag, as it is shown."""

    id: UUID
    name: str
    description: str
    products_count: Count
    created: Moment
    updated: Moment


class TagsOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of tags."""

    results: list[TagOut]
    next: str | None


class MovementIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a seller sends when something came, broke, was counted or came back; `change` is never nothing."""

    change: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000), told(**{"not": {"const": 0}})]
    reason: Literal["received", "damaged", "counted", "returned"]
    note: Annotated[str, msgspec.Meta(max_length=500)] | None = None

    def __post_init__(self) -> None:
        if self.change == 0:
            raise ValueError("The change is not zero")


class MovementOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of a product's stock ledger."""

    id: UUID
    kind: Annotated[str, words_of("received", "correction", "hold", "release", "sale")]
    change_on_hand: int
    change_reserved: int
    reason: str | None
    note: str | None
    order_id: UUID | None
    created: Moment


class MovementsOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of a product's stock ledger."""

    results: list[MovementOut]
    next: str | None


def movement_out(movement: Movement) -> MovementOut:
    """A line of the ledger."""
    return MovementOut(
        id=movement.id,
        kind=movement.kind,
        change_on_hand=movement.d_on_hand,
        change_reserved=movement.d_reserved,
        reason=movement.reason,
        note=movement.note,
        order_id=movement.order_id,
        created=movement.at,
    )
