"""Selling in the browser: the desk, two tabs on one product, sales that arrive."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.browsing import expect, look_at
from tests.web.people import Person


def test_a_product_is_created_archived_and_put_back(open_window: Any, seller: Person) -> None:
    tab = open_window(seller).page("/desk/new")
    tab.get_by_role("button", name="Put on the market").click()
    expect(tab.get_by_text("A product needs a title.")).to_be_visible()
    expect(tab.get_by_label("Title")).to_be_focused()
    tab.get_by_label("Title").fill("Mirror, brass")
    tab.get_by_label("Price", exact=True).fill("1.234,5x")
    tab.get_by_role("button", name="Put on the market").click()
    expect(tab.get_by_text("An amount such as 12.50")).to_be_visible()
    assert look_at(tab, "desk-new-wrong") == []
    tab.get_by_label("Price", exact=True).fill("1234,50")
    tab.get_by_label("In stock").fill("4")
    tab.get_by_role("button", name="Put on the market").click()
    expect(tab.get_by_role("heading", name="Mirror, brass")).to_be_visible()
    product = tab.url.rsplit("/", 1)[1]
    shown = seller.ask("GET", f"/products/{product}")
    assert (shown["price"], shown["stock"]["on_hand"]) == ({"amount": 123450, "currency": "EUR"}, 4)
    tab.get_by_role("button", name="Archive").click()
    expect(tab.get_by_text("Archived", exact=True)).to_be_visible()
    assert seller.ask("GET", f"/products/{product}")["state"] == "ARCHIVED"
    tab.get_by_role("button", name="Put on the market").click()
    expect(tab.get_by_text("On sale", exact=True)).to_be_visible()


def test_stock_movements_are_recorded_and_listed(open_window: Any, seller: Person) -> None:
    product = seller.sells("Candle", stock=5)
    window = open_window(seller)
    tab = window.page(f"/desk/{product}")
    tab.get_by_label("Change").fill("+7")
    tab.get_by_label("Note (if you like)").fill("from the <b>workshop</b>")
    tab.get_by_role("button", name="Record").click()
    expect(tab.locator(".movement").first).to_contain_text("+7")
    expect(tab.locator(".movement").first).to_contain_text("from the <b>workshop</b>")
    expect(tab.get_by_text("12 on hand, 0 held for orders")).to_be_visible()
    expect(tab.get_by_label("In stock")).to_have_value("12")
    window.refusals = {400, 409}
    tab.get_by_label("Change").fill("-13")
    tab.get_by_role("button", name="Record").click()
    expect(tab.get_by_text("More than that is held for orders.")).to_be_visible()
    assert look_at(tab, "desk-edit-stock") == []
    assert seller.ask("GET", f"/products/{product}")["stock"]["on_hand"] == 12


@pytest.mark.short
def test_two_tabs_edit_one_product_and_the_second_sees_both_versions(open_window: Any, seller: Person) -> None:
    product = seller.sells("Stool")
    window = open_window(seller)
    window.refusals = {412}
    one, other = window.page(f"/desk/{product}"), window.page(f"/desk/{product}")
    one.get_by_label("Title").fill("Stool, oak")
    one.get_by_role("button", name="Save").click()
    expect(one.get_by_text("Saved.")).to_be_visible()
    other.get_by_label("Title").fill("Stool, ash")
    other.get_by_role("button", name="Save").click()
    told = other.get_by_role("alert")
    expect(told).to_contain_text("Somebody else changed this product meanwhile.")
    expect(told.get_by_role("cell", name="Stool, oak")).to_be_visible()
    expect(told.get_by_role("cell", name="Stool, ash")).to_be_visible()
    assert seller.ask("GET", f"/products/{product}")["title"] == "Stool, oak"
    assert look_at(other, "desk-edit-conflict") == []
    other.get_by_role("button", name="Save mine over it").click()
    expect(other.get_by_text("Saved.")).to_be_visible()
    assert seller.ask("GET", f"/products/{product}")["title"] == "Stool, ash"


def test_a_sale_does_not_spoil_the_edit_of_a_title(open_window: Any, seller: Person, buyer: Person) -> None:
    product = seller.sells("Basket", stock=6)
    tab = open_window(seller).page(f"/desk/{product}")
    buyer.orders(product, quantity=2)
    expect(tab.get_by_text("6 on hand, 2 held for orders")).to_be_visible()
    tab.get_by_label("Title").fill("Basket, willow")
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_text("Saved.")).to_be_visible()
    assert seller.ask("GET", f"/products/{product}")["title"] == "Basket, willow"


@pytest.mark.short
def test_a_seller_sees_a_sale_arrive(open_window: Any, seller: Person, buyer: Person) -> None:
    product = seller.sells("Drum <script>alert(1)</script>")
    tab = open_window(seller).page("/desk/sales")
    expect(tab.get_by_text("No sales yet")).to_be_visible()
    expect(tab.get_by_text("Live", exact=True)).to_be_visible()
    order = buyer.orders(product)
    expect(tab.get_by_text("Waiting for payment")).to_be_visible()
    expect(tab.get_by_text("Drum <script>alert(1)</script>")).to_be_visible()
    buyer.ask("POST", f"/orders/{order['id']}/confirm", {"payment": {"method": "card", "token": "tok_ok"}})
    expect(tab.locator(".sale")).to_contain_text("Accepted")
    expect(tab.get_by_text("Sold: 1 × Drum")).to_be_visible()
    assert look_at(tab, "sales-arrived") == []


def test_a_store_is_followed_and_its_new_product_is_in_the_feed(
    open_window: Any, seller: Person, buyer: Person
) -> None:
    tab = open_window(buyer).page(f"/u/{seller.id}")
    tab.get_by_role("button", name="Follow").click()
    expect(tab.get_by_role("button", name="Following")).to_be_visible()
    expect(tab.get_by_text("1 follower")).to_be_visible()
    seller.sells("Kilim")
    tab.get_by_role("link", name="Feed").click()
    expect(tab.locator(".card")).to_have_count(1)
    expect(tab.locator(".card")).to_contain_text("Kilim")
