"""The doors of a seller's products. What everybody searches is behind `souk.search`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from souk.accounts.authentication import signed_in
from souk.catalog.models import Product
from souk.catalog.operations.selling import (
    activate_product,
    archive_product,
    change_product,
    create_product,
    delete_product,
    lock_own_product,
)
from souk.catalog.serializers import (
    OwnProducts,
    ProductChange,
    ProductIn,
    ProductsOut,
    etag_of,
    product_out,
)
from souk.kit.cursor import decode_cursor, link_next, paged
from souk.kit.door import Door, answer, created, is_known, no_content, not_modified, require_match
from souk.kit.parsing import Nothing, parsed, query_of
from souk.kit.problem import NotFound
from souk.stock.operations import lock_stock


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
        row = _shown(product.pk, seller.pk)
        return created(product_out(row, seller.pk), location=f"/api/v1/products/{product.pk}", etag=etag_of(row))


class OneProduct(Door):
    """`GET`, `PATCH`, `DELETE /products/{id}`."""

    def get(self, request: Request, product_id: UUID) -> HttpResponse:
        caller_id = request.user.pk if request.user else None
        row = _shown(product_id, caller_id)
        if is_known(request, etag_of(row)):
            return not_modified(etag_of(row))
        return answer(product_out(row, caller_id), etag=etag_of(row))

    def patch(self, request: Request, product_id: UUID) -> HttpResponse:
        seller = signed_in(request)
        product = lock_own_product(product_id=product_id, seller=seller)
        asked = parsed(ProductChange, request).sent()
        if "stock" in asked:
            lock_stock(product_id=product_id)  # so that no sale comes between the comparison and the count
        _require_version(request, _shown(product_id, seller.pk), with_stock="stock" in asked)
        change_product(product=product, seller=seller, **asked)
        return _answer(product_id, seller.pk)

    def delete(self, request: Request, product_id: UUID) -> HttpResponse:
        seller = signed_in(request)
        product = lock_own_product(product_id=product_id, seller=seller)
        _require_version(request, _shown(product_id, seller.pk))
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

    def get(self, request: Request) -> HttpResponse:
        seller = signed_in(request)
        asked = query_of(OwnProducts, request)
        products = Product.objects.filter(seller=seller)
        if asked.state is not None:
            products = products.filter(state=asked.state)
        if asked.cursor is not None:
            products = products.filter(id__lt=decode_cursor("me/products", asked.cursor, UUID))
        rows = list(products.order_by("-id").shown()[: asked.limit + 1])
        page, following = paged(rows, asked.limit, list_name="me/products", key=lambda row: row["id"])
        out = ProductsOut(results=[product_out(row, seller.pk) for row in page], next=following)
        return link_next(request, answer(out), following)


def _move(request: Request, product_id: UUID, operation: Any) -> HttpResponse:
    seller = signed_in(request)
    product = lock_own_product(product_id=product_id, seller=seller)
    parsed(Nothing, request)
    _require_version(request, _shown(product_id, seller.pk))
    operation(product=product, seller=seller)
    return _answer(product_id, seller.pk)


def _answer(product_id: UUID, caller_id: UUID) -> HttpResponse:
    row = _shown(product_id, caller_id)
    return answer(product_out(row, caller_id), etag=etag_of(row))


def _require_version(request: Request, row: dict[str, Any], *, with_stock: bool = False) -> None:
    present = etag_of(row)
    edit = present.partition(".")[0]
    require_match(request, lambda tag: tag == present if with_stock else tag.partition(".")[0] == edit)


def _shown(product_id: UUID, caller_id: UUID | None) -> dict[str, Any]:
    row: dict[str, Any] | None = Product.objects.visible_to(caller_id).filter(pk=product_id).shown().first()
    if row is None:
        raise NotFound
    return row
