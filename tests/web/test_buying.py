"""Buying in the browser: from registering to an accepted order, and the ways in which it can go otherwise."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.private import SoukStack
from tests.web.browsing import expect, look_at
from tests.web.people import PASSWORD, Person

if TYPE_CHECKING:
    from playwright.sync_api import Page

TIME = re.compile(r"^\d:\d\d$")


def pay(tab: Page, card: str) -> None:
    tab.get_by_label(card).check()
    tab.get_by_role("button", name="Pay").click()


@pytest.mark.short
def test_a_stranger_registers_buys_and_sees_the_order_accepted_without_reloading(
    open_window: Any, seller: Person
) -> None:
    product = seller.sells("Copper tray, hammered")
    window = open_window(base_url=seller.base_url)
    tab = window.page()
    tab.get_by_role("combobox", name="Search the market").fill("copper tray")
    tab.get_by_role("option", name=re.compile("Copper tray, hammered")).first.click()
    tab.get_by_role("button", name="Add to bag").click()
    expect(tab.get_by_role("dialog")).to_contain_text("Your bag comes with your account.")
    assert look_at(tab, "sign-in-box", whole=False) == []
    tab.get_by_role("dialog").get_by_role("button", name="Create an account").click()
    assert look_at(tab, "register-box", whole=False) == []
    tab.get_by_label("User name").fill(f"new-{product[-8:]}")
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Create account").click()
    expect(tab.get_by_text("In your bag.")).to_be_visible()
    tab.get_by_role("link", name="See the bag").click()
    tab.get_by_role("button", name="Place the order").click()
    expect(tab.get_by_role("timer")).to_have_text(TIME)
    expect(tab.get_by_role("link", name=re.compile("one waits for payment"))).to_be_visible()
    tab.evaluate("window.stillTheSamePage = true")
    pay(tab, "Card ending in 4242")
    expect(tab.get_by_text("Paid and accepted. Thank you!")).to_be_visible()
    expect(tab.get_by_text("Payment taken, order accepted")).to_be_visible()
    assert tab.evaluate("window.stillTheSamePage") is True
    assert look_at(tab, "order-accepted") == []
    tab.get_by_role("link", name="Orders", exact=True).click()
    expect(tab.locator(".order-row")).to_have_count(1)
    expect(tab.locator(".order-row")).to_contain_text("Accepted")


def test_a_declined_card_is_told_and_another_one_is_accepted(open_window: Any, seller: Person, buyer: Person) -> None:
    order = buyer.orders(seller.sells("Lantern"))
    tab = open_window(buyer).page(f"/orders/{order['id']}")
    pay(tab, "Card ending in 0002")
    expect(tab.get_by_text("The bank declined this card. Nothing was charged.")).to_be_visible()
    expect(tab.get_by_role("timer")).to_have_text(TIME)
    assert look_at(tab, "order-declined") == []
    pay(tab, "Card ending in 4242")
    expect(tab.get_by_text("Paid and accepted. Thank you!")).to_be_visible()
    assert buyer.ask("GET", f"/orders/{order['id']}")["payment"]["attempts"] == 2


def test_the_countdown_reaches_its_end_and_the_order_is_over(open_window: Any, own_api: Any, seller: Person) -> None:
    product = seller.sells("Rug", stock=1)
    with own_api(SOUK_ORDER_HOLD_SECONDS="20") as api:
        buyer = Person.register(api.base_url, "late")
        window = open_window(buyer)
        tab = window.page("/orders")
        order = buyer.orders(product)
        window.go(tab, f"/orders/{order['id']}")
        expect(tab.get_by_role("timer")).to_have_text(re.compile(r"^0:[01]\d$"))
        expect(tab.get_by_text("The time to pay ran out")).to_be_visible()
        expect(tab.get_by_role("button", name="Pay")).to_have_count(0)
        assert look_at(tab, "order-expired") == []
        assert buyer.ask("GET", f"/orders/{order['id']}")["state"] == "NOT_CONFIRMED"
        tab.get_by_role("button", name="Put it all into the bag again").click()
        expect(tab.get_by_role("link", name=re.compile("^Bag"))).to_contain_text("1")
        tab.close()


def test_a_bank_whose_first_answer_is_lost_is_asked_again(open_window: Any, seller: Person, buyer: Person) -> None:
    order = buyer.orders(seller.sells("Water jug"))
    tab = open_window(buyer).page(f"/orders/{order['id']}")
    pay(tab, "Card with a bad line")
    expect(tab.get_by_text("Paid and accepted. Thank you!")).to_be_visible()
    assert buyer.ask("GET", f"/orders/{order['id']}")["payment"]["attempts"] == 1


def test_a_slow_bank_is_waited_for_and_the_page_says_so(open_window: Any, seller: Person, buyer: Person) -> None:
    order = buyer.orders(seller.sells("Water pipe"))
    window = open_window(buyer)
    tab = window.page(f"/orders/{order['id']}")
    # The news waits for the screenshot, however slow the machine is.
    with window.held_back(f"**/orders/{order['id']}"):
        pay(tab, "Card of a slow bank")
        expect(tab.get_by_text("Your payment is under way.")).to_be_visible()
        assert look_at(tab, "order-paying") == []
    expect(tab.get_by_text("Paid and accepted. Thank you!")).to_be_visible()


def test_an_order_is_cancelled_after_a_question(open_window: Any, seller: Person, buyer: Person) -> None:
    order = buyer.orders(seller.sells("Kettle"))
    tab = open_window(buyer).page(f"/orders/{order['id']}")
    tab.get_by_role("button", name="Cancel the order").click()
    assert look_at(tab, "order-cancel-question", whole=False) == []
    tab.get_by_role("dialog").get_by_role("button", name="No, go back").click()
    assert buyer.ask("GET", f"/orders/{order['id']}")["state"] == "PENDING_CONFIRMATION"
    tab.get_by_role("button", name="Cancel the order").click()
    tab.get_by_role("dialog").get_by_role("button", name="Cancel the order").click()
    expect(tab.get_by_text("You cancelled this order. Nothing was charged.")).to_be_visible()
    assert buyer.ask("GET", f"/orders/{order['id']}")["state"] == "CANCELLED"


def test_what_sells_out_while_in_the_bag_is_told_and_the_bag_is_kept(
    open_window: Any, seller: Person, buyer: Person
) -> None:
    product = seller.sells("Chess set", stock=3)
    buyer.ask("PUT", f"/bag/lines/{product}", {"quantity": 3})
    window = open_window(buyer)
    window.refusals = {409, 412}
    tab = window.page("/bag")
    expect(tab.get_by_role("button", name="Place the order")).to_be_enabled()
    seller.ask("PATCH", f"/products/{product}", {"stock": 1})
    tab.get_by_role("button", name="Place the order").click()
    expect(tab.get_by_role("alert")).to_be_visible()
    expect(tab.get_by_text("Only 1 left. Please take fewer.")).to_be_visible()
    expect(tab.get_by_role("button", name="Place the order")).to_be_disabled()
    assert look_at(tab, "bag-short") == []
    tab.get_by_label("Quantity of Chess set").fill("1")
    tab.get_by_label("Quantity of Chess set").press("Tab")
    tab.get_by_role("button", name="Place the order").click()
    expect(tab.get_by_role("button", name="Pay €12.50")).to_be_visible()


def test_a_price_that_changes_is_not_paid_unseen(open_window: Any, seller: Person, buyer: Person) -> None:
    product = seller.sells("Tea glass")
    buyer.ask("PUT", f"/bag/lines/{product}", {"quantity": 1})
    window = open_window(buyer)
    window.refusals = {412}
    tab = window.page("/bag")
    seller.ask("PATCH", f"/products/{product}", {"price": {"amount": 9900, "currency": "EUR"}})
    tab.get_by_role("button", name="Place the order").click()
    expect(tab.get_by_text("Something in your bag has changed")).to_be_visible()
    expect(tab.get_by_text("It is €99.00 now.")).to_be_visible()
    assert buyer.ask("GET", "/orders")["results"] == []


def test_what_is_taken_off_the_market_is_told_in_the_bag_and_the_rest_is_ordered(
    open_window: Any, seller: Person, buyer: Person
) -> None:
    gone, left = seller.sells("Lute"), seller.sells("Bow")
    for product in (gone, left):
        buyer.ask("PUT", f"/bag/lines/{product}", {"quantity": 1})
    seller.ask("POST", f"/products/{gone}/archive")
    tab = open_window(buyer).page("/bag")
    expect(tab.get_by_text("Not on sale any more. Please remove it.")).to_be_visible()
    expect(tab.get_by_role("button", name="Place the order")).to_be_disabled()
    tab.get_by_role("button", name="Remove Lute").click()
    tab.get_by_role("button", name="Place the order").click()
    expect(tab.get_by_role("button", name="Pay €12.50")).to_be_visible()
    assert [one["title"] for one in buyer.ask("GET", "/orders")["results"][0]["lines"]] == ["Bow"]


def test_an_order_is_seen_accepted_although_the_live_process_dies(
    open_window: Any, web_stack: SoukStack, seller: Person, buyer: Person
) -> None:
    order = buyer.orders(seller.sells("Ladder"))
    window = open_window(buyer)
    window.offline = True
    tab = window.page(f"/orders/{order['id']}")
    expect(tab.get_by_text("Live", exact=True)).to_be_visible()
    dead = web_stack.kill("live")
    buyer.ask("POST", f"/orders/{order['id']}/confirm", {"payment": {"method": "card", "token": "tok_ok"}})
    expect(tab.get_by_text("Paid and accepted. Thank you!")).to_be_visible()
    web_stack.wait_restarted("live", than=dead)
    expect(tab.get_by_text("Live", exact=True)).to_be_visible()


def test_the_order_is_followed_by_asking_where_no_stream_can_be_had(
    open_window: Any, seller: Person, buyer: Person
) -> None:
    order = buyer.orders(seller.sells("Broom"))
    window = open_window(buyer)
    window.offline = True
    window.context.route(re.compile(r":\d+/live$"), lambda route: route.abort())
    tab = window.page(f"/orders/{order['id']}")
    expect(tab.get_by_text("Looked at every few seconds")).to_be_visible()
    confirmed = {"payment": {"method": "card", "token": "tok_ok"}}
    buyer.ask("POST", f"/orders/{order['id']}/confirm", confirmed)
    expect(tab.get_by_text("Paid and accepted. Thank you!")).to_be_visible()
