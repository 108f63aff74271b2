"""The pages for staff in a real browser: what they are for is done with clicks, and nothing breaks the policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.stack.private import SoukStack, wait_for
from tests.web.browsing import DESKTOP, PHONE, Window, breaking_out, expect, picture
from tests.web.conftest import Opener
from tests.web.people import PASSWORD, Person

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

LOOKS: dict[str, dict[str, Any]] = {
    "desk-light": {**DESKTOP, "color_scheme": "light"},
    "desk-dark": {**DESKTOP, "color_scheme": "dark"},
    "phone-light": {**PHONE, "color_scheme": "light"},
    "phone-dark": {**PHONE, "color_scheme": "dark"},
}


@dataclass
class Desk:
    """A member of the staff at a browser window."""

    window: Window
    tab: Page

    def go(self, path: str) -> Page:
        self.tab.goto(f"/admin/{path}")
        self.tab.wait_for_load_state("networkidle")
        return self.tab

    def press(self, button: str, **fields: str) -> None:
        """Open what a button asks, fill it in, and send it."""
        form = self.opened(button)
        for name, value in fields.items():
            form.locator(f"[name={name}]").fill(value)
        form.get_by_role("button", name=button, exact=True).click()

    def opened(self, button: str) -> Locator:
        """The form of a button; on a phone the buttons are behind one that shows them."""
        link = self.tab.get_by_role("link", name=button, exact=True).first
        if (self.tab.viewport_size or {"width": 0})["width"] < 1024:
            self.tab.locator("a", has_text="more_horiz").first.click()
        link.click()
        form = self.tab.locator("#dialog form")
        expect(form).to_be_visible()
        return form

    def told(self, message: str) -> None:
        expect(self.tab.get_by_text(message).first).to_be_visible()


@pytest.fixture(scope="module")
def staff(web_stack: SoukStack) -> str:
    """The name of a member of the staff who may do everything."""
    name = f"staff-{uuid4().hex[:8]}"
    made = web_stack.souk("user", "create", "--username", name, "--password", PASSWORD, "--staff")
    assert made.returncode == 0, made.stderr
    return name


def signed_in(open_window: Opener, name: str, **look: Any) -> Desk:
    window = open_window(**look)
    tab = window.context.new_page()
    tab.goto("/admin/")
    tab.locator("[name=username]").fill(name)
    tab.locator("[name=password]").fill(PASSWORD)
    tab.get_by_role("button", name="Log in").click()
    expect(tab.get_by_text("Orders placed")).to_be_visible()
    return Desk(window, tab)


@pytest.fixture
def desk(open_window: Opener, staff: str) -> Desk:
    return signed_in(open_window, staff)


@pytest.fixture
def database(web_stack: SoukStack) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(web_stack.environment["SOUK_DATABASE_URL"], autocommit=True) as at:
        yield at


def test_a_user_is_found_by_name_locked_and_let_in_again(desk: Desk, buyer: Person) -> None:
    tab = desk.go("accounts/user/")
    tab.locator("input[name=q]").first.fill(buyer.username)
    tab.keyboard.press("Enter")
    tab.get_by_role("link", name=buyer.username).first.click()
    desk.press("Lock")
    desk.told(f"{buyer.username} is locked out.")
    headers = {"Authorization": f"Bearer {buyer.access}"}
    assert httpx.get(f"{buyer.base_url}/api/v1/me", headers=headers).status_code == 401
    desk.press("Unlock")
    desk.told(f"{buyer.username} may sign in again.")
    assert buyer.signed_in().ask("GET", "/me")["username"] == buyer.username


def test_a_tag_is_made_refused_renamed_and_deleted(desk: Desk, seller: Person) -> None:
    name, renamed = f"tag-{uuid4().hex[:6]}", f"tag-{uuid4().hex[:6]}"
    desk.go("catalog/tag/")
    desk.press("New tag", name=name, description="Wood.")
    desk.told(f"The tag {name} is made.")
    desk.go("catalog/tag/")
    desk.press("New tag", name=name)
    desk.told("There is such a tag already.")
    picture(desk.tab, "staff-refused")
    product = seller.sells("Bowl", tags=[name])
    tab = desk.go(f"catalog/tag/?q={name}")
    tab.get_by_role("link", name=name).first.click()
    desk.press("Change", name=renamed)
    desk.told(f"The tag is {renamed} now.")
    assert seller.ask("GET", f"/products/{product}")["tags"] == [renamed]
    desk.press("Delete")
    desk.told(f"The tag {renamed} is deleted.")
    assert seller.ask("GET", f"/products/{product}")["tags"] == []


def test_an_order_is_cancelled_with_a_reason_and_not_a_second_time(desk: Desk, seller: Person, buyer: Person) -> None:
    order = buyer.orders(seller.sells("Bowl"))
    desk.go(f"orders/order/{order['id']}/change/")
    desk.press("Cancel the order", reason="no")
    desk.told("at least 3 characters")
    desk.tab.locator("#dialog [name=reason]").fill("Asked for by phone")
    desk.tab.locator("#dialog form").get_by_role("button", name="Cancel the order", exact=True).click()
    desk.told("The order is cancelled.")
    assert buyer.ask("GET", f"/orders/{order['id']}")["state"] == "CANCELLED"
    desk.press("Cancel the order", reason="Once more")
    desk.told("cancel is not possible in the state CANCELLED.")


def test_a_dead_letter_is_read_and_requeued(desk: Desk, buyer: Person, database: psycopg.Connection[Any]) -> None:
    found = database.execute(
        "SELECT id, type FROM eventlog_event WHERE subject_id = %s ORDER BY n LIMIT 1", [buyer.id]
    ).fetchone()
    assert found is not None
    database.execute(
        "INSERT INTO reactions_deadletter (consumer, event_id, event, error, tries) VALUES ('payments', %s, %s, %s, 5)",
        [found[0], json.dumps({"type": found[1]}), "Traceback: it could not be borne."],
    )
    tab = desk.go(f"reactions/deadletter/?q={found[0]}")
    tab.locator("#result_list").get_by_role("link", name="payments").click()
    desk.told("it could not be borne")
    desk.press("Requeue")
    desk.told("It is heard again.")

    def gone() -> bool:
        left = database.execute("SELECT count(*) FROM reactions_deadletter WHERE event_id = %s", [found[0]]).fetchone()
        return left == (0,)

    wait_for(gone, what="the letter is gone")


def test_who_may_only_read_orders_sees_neither_other_pages_nor_buttons(
    web_stack: SoukStack, open_window: Opener, seller: Person, buyer: Person, database: psycopg.Connection[Any]
) -> None:
    group, name = f"readers-{uuid4().hex[:6]}", f"reader-{uuid4().hex[:6]}"
    database.execute(
        "WITH made AS (INSERT INTO auth_group (name) VALUES (%s) RETURNING id) INSERT INTO auth_group_permissions"
        " (group_id, permission_id) SELECT made.id, p.id FROM made, auth_permission p WHERE codename = 'view_order'",
        [group],
    )
    asked = ("user", "create", "--username", name, "--password", PASSWORD, "--staff", "--group", group)
    assert web_stack.souk(*asked).returncode == 0
    order = buyer.orders(seller.sells("Bowl"))
    desk = signed_in(open_window, name)
    menu = desk.tab.get_by_role("link")
    for hidden in ("Users", "Tags", "Products", "Webhooks", "Dead letters", "Payments", "Audit trail"):
        expect(menu.filter(has_text=hidden)).to_have_count(0)
    desk.go(f"orders/order/{order['id']}/change/")
    desk.told(buyer.username)
    expect(desk.tab.get_by_role("link", name="Cancel the order")).to_have_count(0)
    picture(desk.tab, "staff-reader")
    desk.window.refusals.add(403)
    assert desk.go("accounts/user/").title().startswith("403")


WORST = "<script>alert(1)</script> {{ 7*7 }} " + "W" * 120


def bought_from_the_worst(base_url: str) -> dict[str, str]:
    """An accepted order of the worst that people type, and a webhook; the ids of what there is then."""
    seller, buyer = (Person.register(base_url, kind, display_name=WORST[:100]) for kind in ("seller", "buyer"))
    buyer.ask("PATCH", "/me", {"bio": WORST, "email": f"{'long' * 12}@example.org"})
    bowl, worst = (
        seller.sells("A walnut bowl, turned by hand"),
        seller.sells(f"{WORST} حقيبة \u202eمقلوب", description=WORST),
    )
    lines = [{"product_id": bowl, "quantity": 2}, {"product_id": worst, "quantity": 1}]
    order = buyer.ask("POST", "/orders", {"lines": lines}, status=201)["id"]
    paid = {"payment": {"method": "card", "token": "tok_ok"}}
    buyer.ask("POST", f"/orders/{order}/confirm", paid)
    wait_for(lambda: buyer.ask("GET", f"/orders/{order}")["state"] == "ACCEPTED", what="the order is accepted")
    address = f"https://example.org/{'hook' * 40}"
    hook = seller.ask("POST", "/webhooks", {"url": address, "description": WORST}, status=201)["id"]
    return {"order": order, "product": worst, "user": buyer.id, "webhook": hook}


def told_of_it(url: str, order: str) -> dict[str, str]:
    """A dead letter of that order and a tag, written into the database; their ids, the payment's and the event's."""
    with psycopg.connect(url, autocommit=True) as at:
        error = "Traceback (most recent call last):\n" + '  File "souk/reactions/worker.py", line 1\n' * 30 + WORST
        letter = at.execute(
            "INSERT INTO reactions_deadletter (consumer, event_id, event, error, tries)"
            " SELECT 'orders', id, %s, %s, 5 FROM eventlog_event WHERE subject_id = %s ORDER BY n LIMIT 1 RETURNING id",
            [json.dumps({"type": "order.placed", "data": {"note": WORST}}), error, order],
        ).fetchone()
        event = at.execute("SELECT id FROM eventlog_event WHERE subject_id = %s LIMIT 1", [order]).fetchone()
        payment = at.execute("SELECT id FROM payments_payment WHERE reference = %s", [order]).fetchone()
        tag = at.execute(
            "INSERT INTO catalog_tag (id, name, description, created, updated)"
            " VALUES (uuidv7(), %s, %s, now(), now()) RETURNING id", [f"worst-{uuid4().hex[:6]}", WORST],
        ).fetchone()  # fmt: skip
    assert letter is not None
    assert event is not None
    assert payment is not None
    assert tag is not None
    return {"letter": str(letter[0]), "event": str(event[0]), "payment": str(payment[0]), "tag": str(tag[0])}


@pytest.fixture(scope="module")
def full(web_stack: SoukStack) -> dict[str, str]:
    """A page of each kind with much on it: name -> its address."""
    rows = bought_from_the_worst(web_stack.base_url)
    rows |= told_of_it(web_stack.environment["SOUK_DATABASE_URL"], rows["order"])
    return {
        "overview": "",
        "orders": "orders/order/",
        "orders-filtered": "orders/order/?state=ACCEPTED",
        "orders-none": f"orders/order/?q={uuid4()}",
        "order": f"orders/order/{rows['order']}/change/",
        "payments": "payments/payment/",
        "payment": f"payments/payment/{rows['payment']}/change/",
        "products": "catalog/product/",
        "product": f"catalog/product/{rows['product']}/change/",
        "tags": "catalog/tag/",
        "tag": f"catalog/tag/{rows['tag']}/change/",
        "users": "accounts/user/",
        "user": f"accounts/user/{rows['user']}/change/",
        "groups": "auth/group/",
        "group": "auth/group/add/",
        "webhooks": "webhooks/webhook/",
        "webhook": f"webhooks/webhook/{rows['webhook']}/change/",
        "letters": "reactions/deadletter/",
        "letter": f"reactions/deadletter/{rows['letter']}/change/",
        "events": "eventlog/event/",
        "event": f"eventlog/event/{rows['event']}/change/",
        "password": "password_change/",
    }


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_looks_well(look: str, open_window: Opener, staff: str, full: dict[str, str]) -> None:
    door = open_window(**LOOKS[look]).context.new_page()
    door.goto("/admin/")
    picture(door, f"staff-sign-in-{look}")
    desk = signed_in(open_window, staff, **LOOKS[look])
    found = []
    for name, path in full.items():
        tab = desk.go(path)
        picture(tab, f"staff-{name}-{look}")
        found += [f"{name}: {one}" for one in breaking_out(tab)]
    for page, button in (("user", "Appoint to the staff"), ("order", "Cancel the order"), ("tag", "Change")):
        desk.go(full[page])
        desk.opened(button)
        picture(desk.tab, f"staff-{page}-dialog-{look}", whole=False)
    desk.window.refusals |= {404}
    desk.go("nothing/here/")
    picture(desk.tab, f"staff-nothing-{look}")
    assert found == []
