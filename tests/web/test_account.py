"""What a person does with their own account: a forgotten password, a new one, an address, and leaving."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.stack.private import SoukStack, wait_for
from tests.web.browsing import expect, look_at
from tests.web.people import PASSWORD, Person

NEW = "another horse battery"


def mails_to(stack: SoukStack, address: str) -> list[str]:
    """What lies in the folder that takes the place of a mail server."""
    written = [one.read_text(encoding="utf-8") for one in sorted((stack.home / "mail").glob("*"))]
    return [one for one in written if f"To: {address}" in one]


def link_mailed(stack: SoukStack, address: str, place: str) -> str:
    """The link to `place` in a mail to `address`, once it was sent."""
    found = re.compile(rf"^http://\S+/{place}#[\w-]{{43}}$", re.MULTILINE)
    wait_for(lambda: any(map(found.search, mails_to(stack, address))), what=f"a mail with a link to /{place}")
    return next(one[0] for one in map(found.search, mails_to(stack, address)) if one)


def signs_in(person: Person, password: str) -> bool:
    form = {"grant_type": "password", "username": person.username, "password": password, "client_id": "souk-web"}
    return httpx.post(f"{person.base_url}/oauth/token", data=form, timeout=30).status_code == 200


def test_a_forgotten_password_is_set_anew_by_the_mail(open_window: Any, web_stack: SoukStack, buyer: Person) -> None:
    address = f"{buyer.username}@example.org"
    buyer.ask("PATCH", "/me", {"email": address})
    window = open_window(base_url=buyer.base_url)
    tab = window.page("/signin")
    tab.get_by_role("link", name="Forgotten your password?").click()
    tab.get_by_role("button", name="Send me a mail").click()
    expect(tab.get_by_text("Please fill this in.")).to_be_visible()
    tab.get_by_label("E-mail").fill(address)
    tab.get_by_role("button", name="Send me a mail").click()
    expect(tab.get_by_role("status").filter(has_text=f"If an account has the address {address}")).to_be_visible()
    assert look_at(tab, "forgotten-sent") == []
    link = link_mailed(web_stack, address, "reset")
    assert link.startswith(f"{buyer.base_url}/reset#")
    window.go(tab, link)
    expect(tab.get_by_label("Token")).to_have_value(link.rpartition("#")[2])
    assert tab.url == f"{buyer.base_url}/reset", "the token does not stay in the address bar"
    window.refusals = {400}
    tab.get_by_label("New password").fill("password")
    tab.get_by_role("button", name="Set the password").click()
    expect(tab.get_by_label("New password")).to_have_attribute("aria-invalid", "true")
    tab.get_by_label("New password").fill(NEW)
    tab.get_by_role("button", name="Set the password").click()
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
    assert (signs_in(buyer, PASSWORD), signs_in(buyer, NEW)) == (False, True)
    window.go(tab, link)
    tab.get_by_label("New password").fill(NEW)
    tab.get_by_role("button", name="Set the password").click()
    expect(tab.get_by_text("This token is not good, or not any more")).to_be_visible()
    assert look_at(tab, "reset-refused") == []


def test_an_address_is_confirmed_by_the_mail(open_window: Any, web_stack: SoukStack, buyer: Person) -> None:
    address = f"{buyer.username}@example.org"
    window = open_window(buyer)
    tab = window.page("/account")
    tab.get_by_label("E-mail").fill(address)
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_text(f"A mail is on its way to {address}.")).to_be_visible()
    assert look_at(tab, "account-saved") == []
    tab.get_by_role("link", name="Confirm the address").click()
    tab.get_by_label("Token").fill(link_mailed(web_stack, address, "verify").rpartition("#")[2])
    tab.get_by_role("button", name="Confirm the address").click()
    expect(tab.get_by_text("Your address is confirmed.")).to_be_visible()
    tab.get_by_role("link", name="To your account").click()
    expect(tab.get_by_text("For a forgotten password. Confirmed.")).to_be_visible()
    assert buyer.ask("GET", "/me")["email_verified"] is True


def test_a_password_is_changed_and_this_browser_stays_signed_in(open_window: Any, buyer: Person) -> None:
    window = open_window(buyer)
    window.refusals = {400, 401}
    tab = window.page("/account")
    tab.get_by_text("Change your password").click()
    tab.get_by_label("Present password").fill("wrong horse battery")
    tab.get_by_label("New password").fill(NEW)
    tab.get_by_role("button", name="Change the password").click()
    expect(tab.get_by_text("This is not the password.")).to_be_visible()
    assert look_at(tab, "account-password") == []
    tab.get_by_label("Present password").fill(PASSWORD)
    tab.get_by_role("button", name="Change the password").click()
    expect(tab.get_by_text("Your password is changed.")).to_be_visible()
    tab.get_by_role("link", name="Orders").click()
    expect(tab.get_by_text("No orders here")).to_be_visible()
    assert (signs_in(buyer, PASSWORD), signs_in(buyer, NEW)) == (False, True)


def test_an_account_is_closed_after_a_question(open_window: Any, seller: Person) -> None:
    product = seller.sells("Last one")
    window = open_window(seller)
    window.refusals = {400, 401, 404}
    tab = window.page("/account")
    tab.get_by_text("Close your account").click()
    tab.get_by_label("Password", exact=True).fill(PASSWORD)
    tab.get_by_role("button", name="Close the account").click()
    assert look_at(tab, "account-close-question", whole=False) == []
    tab.get_by_role("dialog").get_by_role("button", name="No, go back").click()
    assert seller.ask("GET", "/me")["username"] == seller.username
    tab.get_by_role("button", name="Close the account").click()
    tab.get_by_role("dialog").get_by_role("button", name="Close it").click()
    expect(tab.get_by_text("Your account is closed.")).to_be_visible()
    expect(tab.get_by_role("link", name="Sign in")).to_be_visible()
    window.go(tab, f"/p/{product}")
    expect(tab.get_by_role("heading", name="Not here")).to_be_visible()
    assert not signs_in(seller, PASSWORD)


def test_whoever_is_signed_in_is_not_asked_to_sign_in(open_window: Any, buyer: Person) -> None:
    window = open_window(buyer)
    tab = window.page("/signin?next=/orders")
    expect(tab.get_by_role("heading", name="Your orders")).to_be_visible()
    window.go(tab, "/register")
    expect(tab.get_by_role("heading", name="New on the market")).to_be_visible()
