"""`GET /products`: what everybody can see, newest first."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from souk.catalog.machine import ACTIVE
from souk.catalog.models import Product
from souk.catalog.serializers import ProductsOut, product_out
from souk.kit.cursor import decode_cursor, link_next, paged
from souk.kit.door import Door, answer
from souk.kit.parsing import query_of
from souk.search.serializers import ProductQuery

LIST = "products"


class Products(Door):
    """The list of products."""

    def get(self, request: Request) -> HttpResponse:
        asked = query_of(ProductQuery, request)
        caller_id = request.user.pk if request.user else None
        products = Product.objects.visible_to(None).filter(state=ACTIVE)
        if asked.seller is not None:
            products = products.filter(seller_id=asked.seller)
        if asked.id:
            products = products.filter(id__in=asked.id)
        if asked.cursor is not None:
            products = products.filter(published_id__lt=decode_cursor(LIST, asked.cursor, UUID))
        rows = list(products.order_by("-published_id").shown()[: asked.limit + 1])
        page, following = paged(rows, asked.limit, list_name=LIST, key=lambda row: row["published_id"])
        out = ProductsOut(results=[product_out(row, caller_id) for row in page], next=following)
        return link_next(request, answer(out), following)
