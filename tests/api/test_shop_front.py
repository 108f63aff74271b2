"""The page of the shop front and its files, as an HTTP client sees them. What a browser does with them: tests/web."""

from __future__ import annotations

import gzip
import re

import brotli
import pytest
from django.test import Client

from souk.kit.compression import SMALLEST
from souk.web.shop import PLACES, files, present

PAGE = "text/html; charset=utf-8"


@pytest.fixture
def client() -> Client:
    return Client()


def test_every_place_of_the_shop_is_the_same_page_with_a_strict_policy(client: Client) -> None:
    for place in PLACES:
        answer = client.get("/" + place.replace("<str:one>", "anything"))
        assert (answer.status_code, answer["Content-Type"]) == (200, PAGE), place
        policy = answer["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "connect-src 'self' http://testserver:8001;" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy


def test_the_page_has_no_inline_script_or_style(client: Client) -> None:
    page = client.get("/").content.decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page) == []
    assert re.findall(r"https?://(?!testserver:8001)", page) == []


def test_the_page_is_asked_for_again_and_not_sent_again(client: Client) -> None:
    first = client.get("/")
    assert first["Cache-Control"] == "no-cache"
    again = client.get("/", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/", headers={"If-None-Match": "*"}).status_code == 304, "whatever the caller has, it is there"


def test_every_file_that_the_page_names_is_there_and_kept_for_ever(client: Client) -> None:
    named = re.findall(r'(?:href|src)="(/assets/[^"]+)"', client.get("/").content.decode())
    assert len(named) > 10
    for address in named:
        plain = client.get(address)
        assert plain.status_code == 200, address
        assert "immutable" in plain["Cache-Control"]
        for coding, unpack in (("gzip", gzip.decompress), ("br", brotli.decompress)):
            packed = client.get(address, headers={"Accept-Encoding": coding})
            assert packed.get("Content-Encoding") == (coding if len(plain.content) >= SMALLEST else None), address
            assert (unpack(packed.content) if "Content-Encoding" in packed else packed.content) == plain.content


def test_every_module_imports_only_what_is_there() -> None:
    names = files.names()
    modules = {name: files.file(name).body.decode() for name in names if name.endswith(".js")}
    assert len(modules) > 20
    for name, text in modules.items():
        folder = name.rpartition("/")[0]
        for asked in re.findall(r'(?:^import [^"]*|\bimport\()"([^"]+)"', text, re.MULTILINE):
            parts = [*folder.split("/")] if folder else []
            for step in asked.split("/"):
                if step == "..":
                    parts.pop()
                elif step != ".":
                    parts.append(step)
            assert "/".join(parts) in names, f"{name} imports {asked}"
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), name


def test_another_version_of_a_file_is_not_there(client: Client) -> None:
    version, _ = present()
    for address in (f"/assets/{version}/nothing.js", "/assets/000000000000/app.js", f"/assets/{version}/../shop.html"):
        assert client.get(address).status_code == 404


def test_a_wrong_address_is_a_page_for_people_and_a_problem_for_programs(client: Client) -> None:
    person = client.get("/no/such/place", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (person.status_code, person["Content-Type"]) == (404, PAGE)
    program = client.get("/no/such/place")
    assert (program.status_code, program["Content-Type"]) == (404, "application/problem+json")
    api = client.get("/api/v1/no/such/place", headers={"Accept": "text/html"})
    assert (api.status_code, api["Content-Type"]) == (404, "application/problem+json")


def test_the_live_process_is_named_where_it_is_reached(client: Client, settings: pytest.FixtureRequest) -> None:
    settings.LIVE_URL = "https://live.example.org"  # type: ignore[attr-defined]  # the settings take any name
    answer = client.get("/")
    assert "connect-src 'self' https://live.example.org;" in answer["Content-Security-Policy"]
    assert '<meta name="souk-live" content="https://live.example.org">' in answer.content.decode()


def test_the_files_of_the_pages_for_staff_are_served_the_same_way(client: Client) -> None:
    address = "/static/unfold/css/styles.css"
    plain = client.get(address)
    assert (plain.status_code, plain["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert (plain["Cache-Control"], plain["Vary"]) == ("public, max-age=3600", "Accept-Encoding")
    packed = client.get(address, headers={"Accept-Encoding": "br"})
    assert (packed["Content-Encoding"], packed["Vary"]) == ("br", "Accept-Encoding")
    assert brotli.decompress(packed.content) == plain.content
    for tag in (plain["ETag"], packed["ETag"]):
        again = client.get(address, headers={"If-None-Match": tag, "Accept-Encoding": "br"})
        assert (again.status_code, again.content, again["Vary"]) == (304, b"", "Accept-Encoding")
    for wrong in (
        "/static/unfold/css/none.css",
        "/static/../settings.py",
        "/static/%2e%2e/settings.py",
        "/static/unfold",
    ):
        assert client.get(wrong).status_code == 404, wrong
