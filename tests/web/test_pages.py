"""Every page, light and dark, desk and phone: nothing breaks out, axe finds nothing serious. Screenshots are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.stack.private import SoukStack
from tests.web.browsing import AXE, DESKTOP, PHONE, Window, expect, picture
from tests.web.people import Person

if TYPE_CHECKING:
    from playwright.sync_api import Page

WORST = [
    "<script>document.title='taken'</script><img src=x onerror=alert(1)>",
    "Ｗ" * 200,
    "W" * 200,
    "حقيبة جلدية مصنوعة يدويًا \u202eمقلوب\u202c من فاس",
    "👩🏽‍🎨🏺" * 30,
    "Zalgo: " + "Z\u0351\u036b\u0343\u036a" * 30,
]
LOOKS: dict[str, dict[str, Any]] = {
    "desk-light": {**DESKTOP, "color_scheme": "light"},
    "desk-dark": {**DESKTOP, "color_scheme": "dark"},
    "phone-light": {**PHONE, "color_scheme": "light"},
    "phone-dark": {**PHONE, "color_scheme": "dark"},
}
SERIOUS = ("serious", "critical")
# WCAG 2.2 AA and everything below it.
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


class World:
    """Two people with something on every page, the worst of titles among it."""

    def __init__(self, base_url: str) -> None:
        self.seller = Person.register(base_url, "worst", display_name="Very " * 19 + "long")
        self.buyer = Person.register(base_url, "looker")
        prices = [0, 10**12, 1999, 100, 5, 10**12]
        self.products = [
            self.seller.sells(
                title, price={"amount": price, "currency": "EUR"}, stock=2 if at else 0, description=title
            )
            for at, (title, price) in enumerate(zip(WORST, prices, strict=True))
        ]
        for product in self.products[1:]:
            self.buyer.ask("PUT", f"/bag/lines/{product}", {"quantity": 3 if product == self.products[2] else 1})
        self.buyer.ask("PUT", f"/users/{self.seller.id}/follow", status=204)
        self.order = self.buyer.orders(self.products[3])
        self.cancelled = self.buyer.orders(self.products[4])
        self.buyer.ask("POST", f"/orders/{self.cancelled['id']}/cancel")

    @property
    def pages(self) -> dict[str, tuple[Person | None, str]]:
        """Name: who looks, and where."""
        return {
            "browse": (None, "/"),
            "search": (None, "/?q=Zalgo&available=true&min=1&tag=nothing-such"),
            "product": (None, f"/p/{self.products[1]}"),
            "product-arabic": (self.buyer, f"/p/{self.products[3]}"),
            "store": (self.buyer, f"/u/{self.seller.id}"),
            "sign-in": (None, "/signin"),
            "register": (None, "/register"),
            "feed": (self.buyer, "/feed"),
            "bag": (self.buyer, "/bag"),
            "orders": (self.buyer, "/orders"),
            "order": (self.buyer, f"/orders/{self.order['id']}"),
            "order-cancelled": (self.buyer, f"/orders/{self.cancelled['id']}"),
            "account": (self.seller, "/account"),
            "desk": (self.seller, "/desk"),
            "desk-edit": (self.seller, f"/desk/{self.products[1]}"),
            "desk-new": (self.seller, "/desk/new"),
            "sales": (self.seller, "/desk/sales"),
            "empty": (self.buyer, "/desk"),
            "not-here": (None, f"/p/{uuid4()}"),
        }


@pytest.fixture(scope="module")
def world(web_stack: SoukStack) -> World:
    return World(web_stack.base_url)


def breaking_out(tab: Page) -> list[str]:
    """What is wider than the page, so that it would have to be scrolled sideways."""
    found = tab.evaluate(
        """() => {
            const wide = document.documentElement.clientWidth
            if (document.documentElement.scrollWidth <= wide) return []
            return [...document.querySelectorAll("body *")].filter(one => one.getBoundingClientRect().right > wide + 1)
                .map(one => `${one.tagName}.${one.className}`)
        }"""
    )
    return list(found)


def axe_findings(tab: Page) -> list[str]:
    if not AXE.exists():
        pytest.skip("axe-core is not here: npm is missing or does not reach its registry")
    if not tab.evaluate("'axe' in window"):
        tab.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found = tab.evaluate("levels => axe.run(document, {runOnly: levels, resultTypes: ['violations']})", LEVELS)
    return [
        f"{one['impact']} {one['id']}: {json.dumps([node['target'] for node in one['nodes']][:4])}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_holds_together_and_axe_finds_nothing_serious(look: str, open_window: Any, world: World) -> None:
    windows: dict[str | None, Window] = {}
    found: dict[str, list[str]] = {}
    for name, (person, path) in world.pages.items():
        who = person.username if person else None
        if who not in windows:
            windows[who] = open_window(person, base_url=world.seller.base_url, **LOOKS[look])
            windows[who].refusals = {404}
        tab = windows[who].page(path)
        tab.wait_for_load_state("networkidle") if person is None else tab.wait_for_timeout(400)
        picture(tab, f"{name}-{look}")
        told = breaking_out(tab) + axe_findings(tab)
        if told:
            found[f"{name} {path}"] = told
        assert "taken" not in tab.title()
        tab.close()
    assert found == {}


def test_forged_addresses_are_told_kindly(open_window: Any, seller: Person, buyer: Person) -> None:
    order = buyer.orders(seller.sells("Private"))
    window = open_window(seller)
    window.refusals = {404, 400}
    tab = window.page()
    forged = [
        f"/p/{uuid4()}", f"/u/{uuid4()}", f"/orders/{order['id']}", f"/orders/{uuid4()}", f"/desk/{uuid4()}",
        "/p/1", "/p/%3Cscript%3E", "/orders/..%2f..%2fadmin", "/desk/null", "/nowhere", "/nowhere/at/all",
    ]  # fmt: skip
    for path in forged:
        window.go(tab, path)
        expect(tab.get_by_role("heading", name="Not here")).to_be_visible()
    for path in ("/?min=abc&max=-1&currency=XXX&sort=nonsense&available=maybe", "/?cursor=forged&limit=0"):
        window.go(tab, path)
        expect(tab.get_by_role("heading", name="New on the market")).to_be_visible()


def test_the_first_view_weighs_less_than_a_hundred_kilobytes(open_window: Any, world: World) -> None:
    window = open_window(base_url=world.seller.base_url)
    tab = window.context.new_page()
    cdp = window.context.new_cdp_session(tab)
    cdp.send("Network.enable")
    weights: list[int] = []
    cdp.on("Network.loadingFinished", lambda told: weights.append(int(told["encodedDataLength"])))
    window.go(tab, "/")
    tab.wait_for_load_state("networkidle")
    print(f"first view: {sum(weights)} bytes in {len(weights)} answers")  # noqa: T201  # the figure is the proof
    assert len(weights) > 10
    assert sum(weights) <= 100_000


def test_a_buyer_gets_along_with_the_keyboard_alone(open_window: Any, seller: Person, buyer: Person) -> None:
    word = f"keyboardy{uuid4().hex[:6]}"
    seller.sells(f"Thing {word}")
    tab = open_window(buyer).page()
    expect(tab.get_by_role("link", name=buyer.username)).to_be_visible()
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("link", name="Skip to content")).to_be_focused()
    reach(tab, "Search the market")
    tab.keyboard.type(word)
    expect(tab.get_by_role("option").first).to_contain_text(word)
    tab.keyboard.press("ArrowDown")
    expect(tab.get_by_role("listbox").get_by_role("option", selected=True)).to_contain_text(word)
    tab.keyboard.press("Escape")
    expect(tab.get_by_role("listbox")).to_be_hidden()
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name=f"Results for “{word}”")).to_be_focused()
    reach(tab, f"Thing {word}")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name=f"Thing {word}")).to_be_focused()
    reach(tab, "Add to bag")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("In your bag.")).to_be_visible()
    reach(tab, "See the bag")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="Your bag")).to_be_focused()
    reach(tab, "Place the order")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("timer")).to_be_visible()
    reach(tab, "Pay €12.50")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Paid and accepted. Thank you!")).to_be_visible()


def reach(tab: Page, name: str) -> None:
    """Press Tab until the focus is on what is called so."""
    for _ in range(60):
        tab.keyboard.press("Tab")
        named = tab.evaluate(
            "() => { const one = document.activeElement;"
            " return (one.getAttribute('aria-label') ?? one.textContent ?? '').trim() }"
        )
        if named.startswith(name) or named == name:
            outline = tab.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"the focus on {name} cannot be seen"
            return
    raise AssertionError(f"Tab never reached {name}")


def test_a_phone_has_its_menu_and_its_search(open_window: Any, buyer: Person) -> None:
    tab = open_window(buyer, **PHONE).page()
    menu = tab.get_by_role("button", name="Menu")
    expect(tab.get_by_role("link", name="Orders")).to_be_hidden()
    menu.click()
    tab.get_by_role("link", name="Orders").click()
    expect(tab.get_by_role("heading", name="Your orders")).to_be_visible()
    expect(menu).to_have_attribute("aria-expanded", "false")


def test_a_word_that_nothing_has_is_answered_with_the_one_that_was_meant(open_window: Any, seller: Person) -> None:
    for number in range(3):
        seller.sells(f"Cinnamon sticks {number}")
    tab = open_window(base_url=seller.base_url).page()
    tab.get_by_role("combobox", name="Search the market").fill("cinamon")
    expect(tab.get_by_role("option").first).to_contain_text("cinnamon")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Nothing matches “cinamon” as it is written.")).to_be_visible()
    expect(tab.locator(".card").first).to_contain_text("Cinnamon sticks")
