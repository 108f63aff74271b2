"""Every page, light and dark, desktop and phone: nothing breaks out, axe finds nothing. Screenshots are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.stack.private import SoukStack
from tests.web.browsing import AXE, DESKTOP, PHONE, SCHEMES, Window, expect, look_at
from tests.web.people import Person
from tests.web.world import Look, World

if TYPE_CHECKING:
    from playwright.sync_api import Page

DEVICES = {"desktop": DESKTOP, "phone": PHONE}


@pytest.fixture(scope="module")
def world(web_stack: SoukStack, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(web_stack, tmp_path_factory.mktemp("world"))


def found_on(pages: dict[str, Look], open_window: Any, world: World, device: dict[str, Any]) -> list[str]:
    """Open every page in one window per person and look at it; what is wrong."""
    tabs: dict[str | None, tuple[Window, Page]] = {}
    found: list[str] = []
    for name, (person, path) in pages.items():
        who = person.username if person else None
        if who not in tabs:
            window = open_window(person, base_url=world.base_url, **device)
            window.refusals = {404}
            tabs[who] = window, window.context.new_page()
        window, tab = tabs[who]
        window.go(tab, path)
        if person is not None:
            expect(tab.locator("#places [href='/orders']")).to_have_count(1)  # the header knows who looks
        found += look_at(tab, name)
        assert tab.title() != "taken", "a title was run as a script"
    return found


def test_axe_core_is_here_to_judge_the_pages() -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not here: npm is missing or does not reach its registry. Nothing judged the pages.")


@pytest.mark.parametrize("device", DEVICES)
def test_every_page_holds_together_and_axe_finds_nothing(device: str, open_window: Any, world: World) -> None:
    assert found_on(world.ordinary(), open_window, world, DEVICES[device]) == []


@pytest.mark.parametrize("device", DEVICES)
def test_pages_with_nothing_on_them_say_what_to_do(device: str, open_window: Any, world: World) -> None:
    assert found_on(world.empty(), open_window, world, DEVICES[device]) == []


@pytest.mark.parametrize("device", DEVICES)
def test_the_worst_of_titles_and_prices_break_nothing(device: str, open_window: Any, world: World) -> None:
    assert found_on(world.terrible(), open_window, world, DEVICES[device]) == []


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


@pytest.mark.short
def test_the_first_view_weighs_less_than_a_hundred_kilobytes(open_window: Any, world: World) -> None:
    window = open_window(base_url=world.base_url)
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


@pytest.mark.short
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


def test_a_seller_gets_along_with_the_keyboard_alone(open_window: Any, seller: Person) -> None:
    tab = open_window(seller).page("/desk")
    expect(tab.get_by_role("link", name="Atelier Nour")).to_be_visible()
    reach(tab, "New product")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="New product")).to_be_focused()
    for field, text in (("Title", "Weighing scales"), ("Price", "30"), ("In stock", "2")):
        reach(tab, field)
        tab.keyboard.press("Control+a")
        tab.keyboard.type(text)
    reach(tab, "Put on the market")
    tab.keyboard.press("Space")
    expect(tab.get_by_role("heading", name="Weighing scales")).to_be_focused()
    reach(tab, "Title")
    tab.keyboard.press("End")
    tab.keyboard.type(", brass")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Saved.")).to_be_visible()
    reach(tab, "Change")
    tab.keyboard.type("-1")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("1 on hand, 0 held for orders")).to_be_visible()
    product = tab.url.rsplit("/", 1)[1]
    assert seller.ask("GET", f"/products/{product}")["title"] == "Weighing scales, brass"


def test_a_list_is_as_long_as_one_left_it_when_one_comes_back(open_window: Any, seller: Person) -> None:
    for number in range(26):
        seller.sells(f"Bead {number}")
    tab = open_window(base_url=seller.base_url).page(f"/u/{seller.id}")
    expect(tab.locator(".card")).to_have_count(24)
    tab.get_by_role("button", name="Show more").click()
    tab.get_by_role("link", name="Bead 0", exact=True).click()
    expect(tab.get_by_role("heading", name="Bead 0")).to_be_visible()
    tab.go_back()
    expect(tab.locator(".card")).to_have_count(26)
    expect(tab.get_by_role("link", name="Bead 0", exact=True)).to_be_in_viewport()


def reach(tab: Page, name: str) -> None:
    """Press Tab until the focus is on what is called so."""
    for _ in range(60):
        tab.keyboard.press("Tab")
        named = tab.evaluate(
            "() => { const one = document.activeElement;"
            " return (one.getAttribute('aria-label') ?? one.labels?.[0]?.textContent ?? one.textContent).trim() }"
        )
        if named.startswith(name):
            outline = tab.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"the focus on {name} cannot be seen"
            return
    raise AssertionError(f"Tab never reached {name}")


def test_the_dark_scheme_is_dark(open_window: Any, seller: Person) -> None:
    tab = open_window(base_url=seller.base_url).page("/signin")
    for scheme, paper in zip(SCHEMES, ("rgb(251, 249, 246)", "rgb(23, 20, 17)"), strict=True):
        tab.emulate_media(color_scheme=scheme)
        expect(tab.locator("body")).to_have_css("background-color", paper)


def test_a_phone_has_its_menu_and_its_search(open_window: Any, buyer: Person) -> None:
    tab = open_window(buyer, **PHONE).page()
    menu = tab.get_by_role("button", name="Menu")
    expect(tab.get_by_role("link", name="Orders")).to_be_hidden()
    menu.click()
    assert look_at(tab, "menu", whole=False) == []
    tab.get_by_role("link", name="Orders").click()
    expect(tab.get_by_role("heading", name="Your orders")).to_be_visible()
    expect(menu).to_have_attribute("aria-expanded", "false")


def test_a_word_that_nothing_has_is_answered_with_the_one_that_was_meant(open_window: Any, seller: Person) -> None:
    for number in range(3):
        seller.sells(f"Cinnamon sticks {number}")
    tab = open_window(base_url=seller.base_url).page()
    tab.get_by_role("combobox", name="Search the market").fill("cinamon")
    expect(tab.get_by_role("option").first).to_contain_text("cinnamon")
    assert look_at(tab, "suggestions", whole=False) == []
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("Nothing matches “cinamon” as it is written.")).to_be_visible()
    expect(tab.locator(".card").first).to_contain_text("Cinnamon sticks")
    assert look_at(tab, "did-you-mean") == []


def test_filters_stand_in_the_address_and_are_taken_away_one_by_one(open_window: Any, seller: Person) -> None:
    word = f"filtered{uuid4().hex[:6]}"
    for amount, stock in ((500, 3), (1500, 3), (1700, 0), (9000, 3)):
        price = {"amount": amount, "currency": "EUR"}
        seller.sells(f"{word} for {amount}", price=price, stock=stock)
    window = open_window(base_url=seller.base_url)
    tab = window.page(f"/?q={word}")
    expect(tab.locator(".card")).to_have_count(4)
    tab.locator("summary").click()
    tab.get_by_label("From").fill("ten")
    tab.get_by_role("button", name="Apply").click()
    expect(tab.get_by_text("An amount, such as 12.50")).to_be_visible()
    tab.get_by_label("From").fill("10")
    tab.get_by_label("To", exact=True).fill("20,00")
    tab.get_by_role("button", name="Apply").click()
    expect(tab.locator(".card")).to_have_count(2)
    tab.get_by_label("In stock only").check()
    expect(tab.locator(".card")).to_have_count(1)
    expect(tab.locator(".card")).to_contain_text("€15.00")
    tab.reload()
    expect(tab.locator(".card")).to_have_count(1)
    tab.get_by_role("link", name=re.compile("Up to €20.00.*take away")).click()
    expect(tab.locator(".card")).to_have_count(2)
    tab.get_by_role("link", name="Clear all").click()
    expect(tab.locator(".card")).to_have_count(4)
    tab.go_back()
    expect(tab.locator(".card")).to_have_count(2)


def test_what_loads_and_what_fails_is_shown(open_window: Any, seller: Person) -> None:
    seller.sells("Something")
    window = open_window(base_url=seller.base_url)
    window.refusals = {503}
    tab = window.context.new_page()
    with window.held_back(re.compile(r"/api/v1/products\?")) as waiting:
        tab.goto("/")
        expect(tab.locator(".bone.square").first).to_be_visible()
        assert look_at(tab, "loading") == []
        waiting.pop().fulfill(status=503, content_type="application/problem+json", body='{"detail": "no"}')
        expect(tab.get_by_role("heading", name="That did not work")).to_be_visible()
        assert look_at(tab, "failed") == []
    tab.get_by_role("button", name="Try again").click()
    expect(tab.locator(".card").first).to_be_visible()


@pytest.fixture
def pictured(seller: Person) -> Iterator[tuple[str, str]]:
    """Two products with pictures of their seller's own: one that comes, one that does not."""
    images = [{"url": "https://pictures.example/good.svg", "alt": "A red square"}]
    good = seller.sells("With a picture", images=images)
    missing = seller.sells("Without", images=[{"url": "https://pictures.example/gone.png", "alt": ""}])
    yield good, missing
    # Other tests open the start, and ask no host but ours.
    for product in (good, missing):
        seller.ask("DELETE", f"/products/{product}", status=204)


def test_a_picture_of_the_sellers_own_is_shown_and_one_that_does_not_come_is_drawn(
    open_window: Any, seller: Person, pictured: tuple[str, str]
) -> None:
    good, missing = pictured
    window = open_window(base_url=seller.base_url)
    window.pictures, window.refusals = {"pictures.example"}, {404}
    square = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path fill="red" d="M0 0h9v9H0z"/></svg>'
    sent: list[str | None] = []

    def answer(route: Any) -> None:
        sent.append(route.request.header_value("referer"))
        good_one = route.request.url.endswith("good.svg")
        route.fulfill(status=200 if good_one else 404, content_type="image/svg+xml", body=square if good_one else "")

    window.context.route("https://pictures.example/**", answer)
    tab = window.page(f"/p/{good}")
    expect(tab.get_by_role("img", name="A red square")).to_be_visible()
    assert tab.get_by_role("img", name="A red square").evaluate("one => one.naturalWidth") == 9
    window.go(tab, f"/p/{missing}")
    expect(tab.locator(".stage svg.picture")).to_be_visible()
    assert set(sent) == {None}, "the seller's host is not told where its picture is shown"
