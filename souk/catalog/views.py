"""The doors of a seller's products. What everybody searches is behind `souk.search`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from souk.accounts.authentication import signed_in, signed_in_staff
from souk.accounts.models import User
from souk.catalog.models import Product, Tag
from souk.catalog.operations.counting import correct_stock
from souk.catalog.operations.selling import (
    activate_product,
    archive_product,
    change_product,
    create_product,
    delete_product,
    lock_own_product,
    see_own_product,
    tags_named,
)
from souk.catalog.operations.showing import show_own_products, show_product, suggest_tags
from souk.catalog.operations.tagging import (
    change_tag,
    create_tag,
    delete_tag,
    known_tag,
    lock_tag,
    require_room,
    tag_product,
    untag_product,
)
from souk.catalog.serializers import (
    TAG_NAME,
    MovementIn,
    MovementsOut,
    NewTag,
    OwnProducts,
    ProductChange,
    ProductIn,
    TagChange,
    TagOut,
    TagQuery,
    TagsOut,
    movement_out,
)
from souk.kit.cursor import BadCursor, decode_cursor, link_next, paged
from souk.kit.door import (
    Door,
    answer,
    answer_json,
    answer_list,
    created,
    is_known,
    no_content,
    not_modified,
    require_match,
)
from souk.kit.parsing import Nothing, Page, parsed, query_of
from souk.kit.problem import NotFound
from souk.stock.models import Movement
from souk.stock.operations import lock_stock

SUGGESTIONS = 10


class NewProduct(Door):
    """`POST /products`."""

    def post(self, request: Request) -> HttpResponse:
        seller = signed_in(request)
        asked = parsed(ProductIn, request)
        product = create_product(
            seller=seller,
            title=asked.title,
            description=asked.description,
            price=asked.price,
            stock=asked.stock,
            tags=asked.tags,
            images=msgspec.to_builtins(asked.images),
            state=asked.state,
        )
        etag, shown = _shown(product.pk, seller.pk)
        return created(msgspec.Raw(shown), location=f"/api/v1/products/{product.pk}", etag=etag)


class OneProduct(Door):
    """`GET`, `PATCH`, `DELETE /products/{id}`."""

    def get(self, request: Request, product_id: UUID) -> HttpResponse:
        etag, shown = _shown(product_id, request.user.pk if request.user else None)
        if is_known(request, etag):
            return not_modified(etag)
        return answer_json(shown, etag=etag)

    def patch(self, request: Request, product_id: UUID) -> HttpResponse:
        seller = signed_in(request)
        product = lock_own_product(product_id=product_id, seller=seller)
        asked = parsed(ProductChange, request).sent()
        tags_named(asked.get("tags") or ())  # an unknown one is told before another version is
        if "stock" in asked:
            lock_stock(product_id=product_id)  # so that no sale comes between the comparison and the count
        _require_version(request, product_id, seller, with_stock="stock" in asked)
        change_product(product=product, seller=seller, **asked)
        return _answer(product_id, seller.pk)

    def delete(self, request: Request, product_id: UUID) -> HttpResponse:
        seller = signed_in(request)
        product = lock_own_product(product_id=product_id, seller=seller)
        _require_version(request, product_id, seller)
        delete_product(product=product, seller=seller)
        return no_content()


class Activation(Door):
    """`POST /products/{id}/activate`."""

    def post(self, request: Request, product_id: UUID) -> HttpResponse:
        return _move(request, product_id, activate_product)


class Archiving(Door):
    """`POST /products/{id}/archive`."""

    def post(self, request: Request, product_id: UUID) -> HttpResponse:
        return _move(request, product_id, archive_product)


class MyProducts(Door):
    """`GET /me/products`: own products in all states, newest made first."""

    queried = True

    def get(self, request: Request) -> HttpResponse:
        seller = signed_in(request)
        asked = query_of(OwnProducts, request)
        before: UUID | None = None if asked.cursor is None else decode_cursor("me/products", asked.cursor, UUID)
        rows = show_own_products(seller_id=seller.pk, state=asked.state, before=before, limit=asked.limit + 1)
        page, following = paged(rows, asked.limit, list_name="me/products", key=lambda row: row[0])
        return link_next(request, answer_list([shown for _, shown in page], following), following)


class TagOfProduct(Door):
    """`PUT`, `DELETE /products/{id}/tags/{name}`."""

    def put(self, request: Request, product_id: UUID, name: str) -> HttpResponse:
        seller, product = _locked(request, product_id)
        tag = known_tag(name=_tag_name(name))
        parsed(Nothing, request)
        require_room(product=product, tag=tag)  # what is wrong with the request is told before its version
        _require_version(request, product_id, seller)
        tag_product(product=product, seller=seller, tag=tag)
        return no_content()

    def delete(self, request: Request, product_id: UUID, name: str) -> HttpResponse:
        seller, product = _locked(request, product_id)
        _tag_name(name)
        _require_version(request, product_id, seller)
        untag_product(product=product, seller=seller, name=name)
        return no_content()


class StockMovements(Door):
    """`GET`, `POST /products/{id}/stock-movements`, the newest first."""

    queried = True

    def get(self, request: Request, product_id: UUID) -> HttpResponse:
        seller = signed_in(request)
        see_own_product(product_id=product_id, seller=seller)
        asked = query_of(Page, request)
        movements = Movement.objects.filter(product_id=product_id)
        if asked.cursor is not None:
            movements = movements.filter(id__lt=decode_cursor("stock-movements", asked.cursor, UUID))
        rows = list(movements.order_by("-id")[: asked.limit + 1])
        page, following = paged(rows, asked.limit, list_name="stock-movements", key=lambda row: row.id)
        out = MovementsOut(results=[movement_out(row) for row in page], next=following)
        return link_next(request, answer(out), following)

    def post(self, request: Request, product_id: UUID) -> HttpResponse:
        seller, product = _locked(request, product_id)
        asked = parsed(MovementIn, request)
        _require_version(request, product_id, seller, with_stock=True)
        made = correct_stock(product=product, seller=seller, change=asked.change, reason=asked.reason, note=asked.note)
        address = f"/api/v1/products/{product_id}/stock-movements"
        return created(movement_out(Movement.objects.get(pk=made)), location=address)


class Tags(Door):
    """`GET /tags`: suggestions, or all by name. `POST /tags` is for staff."""

    queried = True

    def get(self, request: Request) -> HttpResponse:
        asked = query_of(TagQuery, request)
        limit = asked.limit or (SUGGESTIONS if asked.sort == "used" else 20)
        if asked.sort == "used":
            if asked.cursor is not None:
                raise BadCursor
            return answer_list(suggest_tags(prefix=asked.prefix, limit=limit), None)
        tags = Tag.objects.beginning(asked.prefix)
        if asked.cursor is not None:
            tags = tags.filter(name__gt=decode_cursor("tags", asked.cursor, _cursor_name))
        rows = list(tags.order_by("name").shown()[: limit + 1])
        page, following = paged(rows, limit, list_name="tags", key=lambda row: str(row["name"]))
        out = TagsOut(results=[TagOut(**row) for row in page], next=following)
        return link_next(request, answer(out), following)

    def post(self, request: Request) -> HttpResponse:
        staff = signed_in_staff(request)
        asked = parsed(NewTag, request)
        tag = create_tag(name=asked.name, description=asked.description, staff=staff)
        return created(_tag_out(tag.name), location=f"/api/v1/tags/{tag.name}")


class OneTag(Door):
    """`GET`, `PATCH`, `DELETE /tags/{name}`."""

    def get(self, request: Request, name: str) -> HttpResponse:
        return answer(_tag_out(_tag_name(name)))

    def patch(self, request: Request, name: str) -> HttpResponse:
        staff = signed_in_staff(request)
        tag = lock_tag(name=_tag_name(name))
        changed = change_tag(tag=tag, staff=staff, **parsed(TagChange, request).sent())
        return answer(_tag_out(changed.name))

    def delete(self, request: Request, name: str) -> HttpResponse:
        staff = signed_in_staff(request)
        delete_tag(tag=lock_tag(name=_tag_name(name)), staff=staff)
        return no_content()


def _tag_name(name: str) -> str:
    """The name in an address. Raises NotFound for what no tag can be called."""
    if not TAG_NAME.fullmatch(name):
        raise NotFound
    return name


def _cursor_name(text: str) -> str:
    if not TAG_NAME.fullmatch(text):
        raise ValueError("no tag is called so")
    return text


def _tag_out(name: str) -> TagOut:
    row = Tag.objects.named([name]).shown().first()
    if row is None:
        raise NotFound
    return TagOut(**row)


def _locked(request: Request, product_id: UUID) -> tuple[User, Product]:
    seller = signed_in(request)
    return seller, lock_own_product(product_id=product_id, seller=seller)


def _move(request: Request, product_id: UUID, operation: Any) -> HttpResponse:
    seller = signed_in(request)
    product = lock_own_product(product_id=product_id, seller=seller)
    parsed(Nothing, request)
    _require_version(request, product_id, seller)
    operation(product=product, seller=seller)
    return _answer(product_id, seller.pk)


def _answer(product_id: UUID, caller_id: UUID) -> HttpResponse:
    etag, shown = _shown(product_id, caller_id)
    return answer_json(shown, etag=etag)


def _require_version(request: Request, product_id: UUID, seller: User, *, with_stock: bool = False) -> None:
    present, _ = _shown(product_id, seller.pk)
    edit = present.partition(".")[0]
    require_match(request, lambda tag: tag == present if with_stock else tag.partition(".")[0] == edit)


def _shown(product_id: UUID, caller_id: UUID | None) -> tuple[str, bytes]:
    found = show_product(product_id=product_id, caller_id=caller_id)
    if found is None:
        raise NotFound
    return found
