"""The SQL function that an order reads its offers by, beside the query set that says what anybody may buy."""

from __future__ import annotations

from uuid import UUID, uuid4

from souk.accounts.models import User
from souk.catalog.models import Product
from souk.orders.operations.placing import offers_to
from tests.callers import SignedIn


def test_an_order_is_offered_what_anybody_may_buy_and_nothing_else(
    seller: SignedIn, other_seller: SignedIn, buyer: SignedIn
) -> None:
    active, archived, deleted = (seller.offer(title, price=700) for title in ("Mug", "Pot", "Cup"))
    draft = seller.offer("Draft", state="DRAFT")
    locked_out = other_seller.offer("Lamp")
    seller.post(f"/products/{archived['id']}/archive")
    seller.delete(f"/products/{deleted['id']}")
    User.objects.filter(pk=other_seller.id).update(is_active=False)
    ids = [UUID(one["id"]) for one in (active, archived, deleted, draft, locked_out)] + [uuid4()]
    offers = offers_to(buyer_id=UUID(buyer.id), product_ids=ids, most=50)
    assert offers.keys() == set(ids)
    offered = {one for one, offer in offers.items() if offer.is_buyable}
    assert offered == set(Product.objects.buyable(ids).values_list("pk", flat=True)) == {UUID(active["id"])}
    mug = offers[UUID(active["id"])]
    assert (mug.title, mug.price, mug.currency, mug.seller_username, mug.waiting) == ("Mug", 700, "EUR", "seller", 0)


def test_waiting_orders_are_counted_no_further_than_was_asked(seller: SignedIn, buyer: SignedIn) -> None:
    mug = seller.offer("Mug", stock=50)
    for _ in range(3):
        assert buyer.order((mug, 1)).status == 201
    ids = [UUID(mug["id"])]
    counted = [offers_to(buyer_id=UUID(buyer.id), product_ids=ids, most=most)[ids[0]].waiting for most in (2, 3, 50)]
    assert counted == [2, 3, 3]
