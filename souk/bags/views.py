"""The doors of a bag. Ordering it is behind `souk.orders`."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from rest_framework.request import Request

from souk.accounts.authentication import signed_in
from souk.bags.models import Bag, BagLine
from souk.bags.operations import (
    empty_bag,
    lock_open_bag,
    open_bag,
    remove_line,
    require_room,
    set_line,
    visible_product,
)
from souk.bags.serializers import QuantityIn, bag_out, etag_of, require_bag_version
from souk.kit.door import Door, answer, is_known, no_content, not_modified
from souk.kit.parsing import Nothing, parsed


class OpenBag(Door):
    """`GET /bag`."""

    def get(self, request: Request) -> HttpResponse:
        bag = open_bag(owner=signed_in(request))
        lines = list(BagLine.objects.shown(bag.pk))
        if is_known(request, etag := etag_of(bag, lines)):
            return not_modified(etag)
        return answer(bag_out(bag, lines), etag=etag)


class OneLine(Door):
    """`PUT`, `DELETE /bag/lines/{product_id}`."""

    def put(self, request: Request, product_id: UUID) -> HttpResponse:
        owner = signed_in(request)
        product = visible_product(product_id=product_id, owner=owner)
        asked = parsed(QuantityIn, request)
        bag = lock_open_bag(owner=owner)
        require_room(bag=bag, product=product)  # what is wrong with the request is told before its version
        require_bag_version(request, bag, list(BagLine.objects.shown(bag.pk)))
        set_line(bag=bag, product=product, quantity=asked.quantity)
        lines = list(BagLine.objects.shown(bag.pk))
        return answer(bag_out(bag, lines), etag=etag_of(bag, lines))

    def delete(self, request: Request, product_id: UUID) -> HttpResponse:
        bag = _locked_for_removal(request)
        remove_line(bag=bag, product_id=product_id)
        return no_content()


class AllLines(Door):
    """`DELETE /bag/lines`."""

    def delete(self, request: Request) -> HttpResponse:
        empty_bag(bag=_locked_for_removal(request))
        return no_content()


def _locked_for_removal(request: Request) -> Bag:
    owner = signed_in(request)
    parsed(Nothing, request)
    bag = lock_open_bag(owner=owner)
    require_bag_version(request, bag, list(BagLine.objects.shown(bag.pk)))
    return bag
