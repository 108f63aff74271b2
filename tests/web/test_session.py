"""Staying signed in, over tabs, dead tokens and a server that goes away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.stack.private import SoukStack, wait_for
from tests.web.browsing import expect, look_at
from tests.web.people import PASSWORD, Person, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Page


def stored(tab: Page) -> str:
    """The refresh token as it lies in the browser."""
    found = tab.evaluate("localStorage.getItem('souk.refresh')")
    assert isinstance(found, str)
    return found


@pytest.mark.short
def test_a_reload_and_a_second_tab_stay_signed_in(open_window: Any, buyer: Person) -> None:
    window = open_window(buyer)
    tab = window.page("/")
    expect(tab.get_by_role("link", name=buyer.username)).to_be_visible()
    assert stored(tab) != window.first_refresh, "the first visit renewed the token"
    tab.reload()
    expect(tab.get_by_role("link", name=buyer.username)).to_be_visible()
    held = stored(tab)
    other = window.page("/orders")
    expect(other.get_by_role("heading", name="Your orders")).to_be_visible()
    assert stored(other) == held, "the second tab heard the access token from the first"
    assert tab.evaluate("Object.values({...localStorage, ...sessionStorage}).length") == 1
    other.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("link", name="Sign in")).to_be_visible()
    assert tab.evaluate("localStorage.getItem('souk.refresh')") is None


def test_an_access_token_that_died_is_renewed_unseen(open_window: Any, own_api: Any) -> None:
    with own_api(SOUK_ACCESS_TOKEN_SECONDS="3") as api:
        buyer = Person.register(api.base_url, "renewer")
        window = open_window(buyer)
        window.refusals = {401}
        tokens: list[str] = []
        window.context.on(
            "request",
            lambda one: tokens.append(one.headers["authorization"]) if "authorization" in one.headers else None,
        )
        tab = window.page("/orders")
        expect(tab.get_by_role("heading", name="Your orders")).to_be_visible()
        wait_for(lambda: refused(api.base_url, tokens[-1]), what="the access token is past its time")
        dead, held = tokens[-1], stored(tab)
        tab.get_by_role("link", name="Feed").click()
        expect(tab.get_by_role("heading", name="Your feed")).to_be_visible()
        expect(tab.get_by_role("link", name=buyer.username)).to_be_visible()
        assert tokens[-1] != dead
        assert stored(tab) != held
        tab.close()


def refused(base_url: str, bearer: str) -> bool:
    """Whether the API takes this access token no more."""
    answer = httpx.get(f"{base_url}/api/v1/me", headers={"Authorization": bearer}, timeout=30)
    return answer.status_code == 401


def test_a_session_that_ends_midway_loses_nothing_of_what_was_typed(open_window: Any, seller: Person) -> None:
    window = open_window(seller)
    window.refusals = {400, 401}
    tab = window.page("/desk/new")
    expect(tab.get_by_role("link", name="Atelier Nour")).to_be_visible()
    tab.get_by_label("Title").fill("Half a sentence")
    tab.get_by_label("Price", exact=True).fill("3")
    # Every token of the account dies with its password.
    seller.access, _ = sign_in(seller.base_url, seller.username)
    changed = {"current_password": PASSWORD, "new_password": "another horse battery"}
    seller.ask("POST", "/me/password", changed, status=204)
    tab.get_by_role("button", name="Put on the market").click()
    box = tab.get_by_role("dialog")
    expect(box).to_contain_text("Your session has ended")
    assert look_at(tab, "session-ended", whole=False) == []
    box.get_by_label("User name").fill(seller.username)
    box.get_by_label("Password").fill("wrong horse battery")
    box.get_by_role("button", name="Sign in").click()
    expect(box.get_by_text("User name and password do not fit together.")).to_be_visible()
    box.get_by_label("Password").fill("another horse battery")
    box.get_by_role("button", name="Sign in").click()
    expect(tab.get_by_role("heading", name="Half a sentence")).to_be_visible()


def test_the_api_goes_down_and_comes_back(open_window: Any, own_api: Any, seller: Person) -> None:
    product = seller.sells("Umbrella")
    with own_api() as api:
        buyer = Person.register(api.base_url, "patient")
        window = open_window(buyer)
        tab = window.page(f"/p/{product}")
        expect(tab.get_by_role("link", name=buyer.username)).to_be_visible()
        window.offline = True
        api.stop()
        tab.get_by_role("button", name="Add to bag").click()
        expect(tab.get_by_text("Souk cannot be reached. Trying again by itself")).to_be_visible()
        expect(tab.get_by_role("alert").get_by_text("Nothing was lost")).to_be_visible()
        tab.get_by_role("link", name="Orders").click()
        expect(tab.get_by_role("heading", name="No connection")).to_be_visible()
        assert look_at(tab, "offline") == []
        api.start()
        expect(tab.get_by_text("No orders here")).to_be_visible()
        expect(tab.get_by_text("Souk cannot be reached. Trying again by itself")).to_have_count(0)
        window.go(tab, f"/p/{product}")
        tab.get_by_role("button", name="Add to bag").click()
        expect(tab.get_by_text("In your bag.")).to_be_visible()
        tab.close()


def test_a_page_that_needs_an_account_leads_there_after_signing_in(open_window: Any, buyer: Person) -> None:
    tab = open_window(base_url=buyer.base_url).page("/orders")
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
    tab.get_by_label("User name").fill(buyer.username)
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_label("Password").press("Enter")
    expect(tab.get_by_role("heading", name="Your orders")).to_be_visible()


def test_signing_in_by_the_header_leads_back_to_where_one_was(open_window: Any, seller: Person, buyer: Person) -> None:
    product = seller.sells("Door knocker")
    tab = open_window(base_url=buyer.base_url).page(f"/p/{product}?from=a-friend")
    tab.get_by_role("link", name="Sign in").click()
    expect(tab.get_by_text("That page needs an account.")).to_have_count(0)
    tab.get_by_role("link", name="Create an account").click()
    tab.get_by_label("User name").fill(f"back-{product[-8:]}")
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_label("Password").press("Enter")
    expect(tab.get_by_role("heading", name="Door knocker")).to_be_visible()
    assert tab.url == f"{buyer.base_url}/p/{product}?from=a-friend"


def test_only_an_address_of_the_shop_is_where_signing_in_leads(open_window: Any, buyer: Person) -> None:
    tab = open_window(base_url=buyer.base_url).page("/signin?next=//evil.example/")
    tab.get_by_label("User name").fill(buyer.username)
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_label("Password").press("Enter")
    expect(tab.get_by_role("heading", name="New on the market")).to_be_visible()
    assert tab.url == f"{buyer.base_url}/"


def test_staff_alone_are_led_to_the_pages_for_staff(open_window: Any, web_stack: SoukStack, buyer: Person) -> None:
    name = f"staff-{buyer.username}"
    made = web_stack.souk("user", "create", "--username", name, "--password", PASSWORD, "--staff")
    assert made.returncode == 0, made.stdout + made.stderr
    access, refresh = sign_in(buyer.base_url, name)
    tab = open_window(Person(buyer.base_url, name, "", access, refresh)).page("/")
    expect(tab.get_by_role("link", name="Admin")).to_have_attribute("href", "/admin/")
    tab.close()
    other = open_window(buyer).page("/")
    expect(other.get_by_role("link", name=buyer.username)).to_be_visible()
    expect(other.get_by_role("link", name="Admin")).to_have_count(0)
