"""Browser windows that notice what nobody clicks on: errors, violations of the policy, requests to other hosts."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pytest

from souk.settings import CHECKOUT
from tests.web.people import Person

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Playwright, Request, Route

# Whoever imports this is skipped where Playwright is not installed.
expect: Any = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not here; make test-web installs it"
).expect

ARTEFACTS = CHECKOUT / ".souk" / "web" / "screenshots"
AXE = CHECKOUT / ".souk" / "web" / "axe-core" / "package" / "axe.min.js"
# Without movement, so that neither a screenshot nor a measured contrast falls into the middle of one.
STILL: dict[str, Any] = {"reduced_motion": "reduce"}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, **STILL}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, **STILL}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# WCAG 2.2 AA and everything below it.
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# The rules of those that another scheme can break: the dark one changes colours and nothing else.
COLOURS = ["color-contrast", "link-in-text-block"]
# Generous: other work may have the processors. Nothing here asserts how long something took.
PATIENCE = 45_000
expect.set_options(timeout=PATIENCE)
# What a browser itself writes when an answer is a refusal or does not come. The page's own errors look different.
REFUSED = re.compile(
    r"Failed to load resource: the server responded with a status of (\d+)|Failed to load resource: net::ERR"
)


def chromium_path() -> str | None:
    """The system's Chromium, if there is one."""
    return next(
        (found for name in ("chromium", "google-chrome", "chromium-browser") if (found := shutil.which(name))), None
    )


@contextmanager
def opened_browser(playwright: Playwright, path: str) -> Iterator[Browser]:
    # Chromium refuses its sandbox to root; who runs tests as root runs them in a container of their own.
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []
    browser = playwright.chromium.launch(executable_path=path, args=arguments)
    try:
        yield browser
    finally:
        browser.close()


@dataclass
class Window:
    """One browser context, as a person has it. `refusals`: the statuses that this test is about."""

    context: BrowserContext
    base_url: str
    refusals: set[int] = field(default_factory=set)
    offline: bool = False
    first_refresh: str = ""
    troubles: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    pictures: set[str] = field(default_factory=set)  # hosts where sellers keep theirs, in tests of that alone

    @classmethod
    def open(cls, browser: Browser, base_url: str, person: Person | None, **options: Any) -> Window:
        stored: dict[str, Any] = {"cookies": [], "origins": []}
        if person is not None:
            token = {"name": "souk.refresh", "value": person.refresh}
            stored["origins"] = [{"origin": base_url, "localStorage": [token]}]
        context = browser.new_context(**{**DESKTOP, "base_url": base_url, "storage_state": stored, **options})
        context.set_default_timeout(PATIENCE)
        context.set_default_navigation_timeout(PATIENCE)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', event =>"
            " console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`))"
        )
        window = cls(context, base_url, first_refresh=person.refresh if person else "")
        context.on("console", window._hear)
        context.on("weberror", lambda error: window.troubles.append(f"uncaught: {error.error}"))
        context.on("request", window._note)
        context.on("dialog", window._refuse)
        return window

    def page(self, path: str = "/") -> Page:
        """A new tab at `path`, with its content there."""
        tab = self.context.new_page()
        self.go(tab, path)
        return tab

    def go(self, tab: Page, path: str) -> None:
        tab.goto(path)
        tab.wait_for_selector("main:not([aria-busy])")

    @contextmanager
    def held_back(self, url: str | re.Pattern[str]) -> Iterator[list[Route]]:
        """Requests to `url` wait, in the list, until the block ends; then they go their way, as do later ones."""
        waiting: list[Route] = []
        ended = False

        def answer(route: Route) -> None:
            if ended:
                route.continue_()
            else:
                waiting.append(route)

        self.context.route(url, answer)
        yield waiting
        ended = True
        for route in waiting:
            route.continue_()

    def assert_clean(self) -> None:
        """Nothing was written to the console, no policy was violated, no other host was asked."""
        assert self.troubles == []
        assert self.hosts <= {urlsplit(self.base_url).hostname} | self.pictures

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        refused = REFUSED.match(message.text)
        if refused and (self.offline if refused[1] is None else int(refused[1]) in self.refusals):
            return
        if self.offline and "ERR_" in message.text:
            return
        self.troubles.append(f"{message.type}: {message.text}")

    def _refuse(self, dialog: Dialog) -> None:
        self.troubles.append(f"a dialog opened: {dialog.message}")
        dialog.dismiss()

    def _note(self, request: Request) -> None:
        host = urlsplit(request.url).hostname
        if host is not None and not request.url.startswith(("data:", "blob:")):
            self.hosts.add(host)


def picture(tab: Page, name: str, *, whole: bool = True) -> Path:
    """Keep a screenshot among the artefacts."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    path = ARTEFACTS / f"{name}.png"
    tab.screenshot(path=path, full_page=whole, animations="disabled")
    return path


def look_at(tab: Page, name: str, *, whole: bool = True) -> list[str]:
    """Keep screenshots in light and dark; what is wrong with the page: what breaks out of it, what axe finds."""
    wide = (tab.viewport_size or {"width": 0})["width"]
    device = "phone" if wide < 600 else "desktop"
    found = []
    if whole:
        tab.evaluate("scrollTo(0, 0)")  # the header stays at the top of what is seen
    for scheme in SCHEMES:
        tab.emulate_media(color_scheme=scheme)
        picture(tab, f"{name}-{device}-{scheme}", whole=whole)
        rules = COLOURS if scheme == "dark" else LEVELS
        if device == "phone" and scheme == "dark":
            continue  # the colours are those of the desktop
        found += [f"{name} {device} {scheme}: {one}" for one in axe_findings(tab, rules)]
    tab.emulate_media(color_scheme="light")
    return found + [f"{name} {device}: {one}" for one in breaking_out(tab)]


def breaking_out(tab: Page) -> list[str]:
    """What is wider than the page, so that it would have to be scrolled sideways."""
    found = tab.evaluate(
        """() => {
            const wide = document.documentElement.clientWidth
            if (document.documentElement.scrollWidth <= wide) return []
            return [...document.querySelectorAll("body *")].filter(one => one.getBoundingClientRect().right > wide + 1)
                .map(one => `${one.tagName}.${one.className} breaks out`)
        }"""
    )
    return list(found)


def axe_findings(tab: Page, rules: list[str]) -> list[str]:
    """What axe-core finds by these rules or levels, whatever its weight. Nothing without it; a test says so."""
    if not AXE.exists():
        return []
    if not tab.evaluate("'axe' in window"):
        tab.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found = tab.evaluate("rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", rules)
    return [
        f"{one['impact']} {one['id']}: {json.dumps([node['target'] for node in one['nodes']][:4])}"
        for one in found["violations"]
    ]
