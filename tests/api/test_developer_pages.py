"""The pages for people who write programs: from this server alone, under a policy without inline scripts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import Client

from souk.settings import CHECKOUT
from souk.web import pages
from souk.web.files import Folder

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}
PAGES = ["/api/v1/docs", "/api/v1/redoc", "/problems", "/machines", *(f"/problems/{code}" for code in pages.problems())]
SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL)
LOADED = re.compile(r"<(?:script|link|img|iframe)[^>]*?\s(?:src|href)=\"?(?P<address>[^\"\s>]+)")

pytestmark = pytest.mark.usefixtures("clean_database")


def is_strict(policy: str) -> bool:
    scripts = re.search(r"script-src ([^;]+)", policy)
    closed = all(f"{one} 'none'" in policy for one in ("default-src", "frame-ancestors", "base-uri", "form-action"))
    return closed and (scripts is None or scripts[1] == "'self'")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_there_and_loads_nothing_from_elsewhere(path: str) -> None:
    answer = Client().get(path, headers=BROWSER)
    text = answer.content.decode()
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert is_strict(answer["Content-Security-Policy"])
    assert [found["text"] for found in SCRIPT.finditer(text) if found["text"].strip()] == []
    for address in (found["address"] for found in LOADED.finditer(text)):
        assert address.startswith(("/", "data:")), address
        if address.startswith("/reading/"):
            assert Client().get(address).status_code == 200, address


def test_a_problem_page_says_what_it_means_with_an_example_and_what_to_do() -> None:
    text = Client().get("/problems/out_of_stock", headers=BROWSER).content.decode()
    for said in ("What it means", "What to do", "An example", "There is not enough of it", "POST /api/v1/orders"):
        assert said in text
    assert Client().get("/problems/nothing").status_code == 404


def test_every_problem_page_has_a_real_example() -> None:
    assert [code for code in pages.problems() if pages.examples.problem(code) is None] == []


def test_the_contract_is_served_as_it_is_committed() -> None:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert json.loads(answer.content) == json.loads((CHECKOUT / "docs" / "openapi.json").read_text("utf-8"))


@pytest.mark.parametrize("name", ["../pages.py", "/etc/passwd", "x", "", "\0", "a" * 5000, "swagger.js/.."])
def test_no_file_beside_the_folder_is_served(name: str) -> None:
    for folder in ("pages", "swagger", "nothing", ".."):
        assert Client().get(f"/reading/{folder}/{name.replace(chr(0), '%00')}").status_code == 404, (folder, name)


def test_the_guide_is_built_and_read_without_anything_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False, env={"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.setattr(pages, "guide", Folder(tmp_path, policy=pages.GUIDE))
    built = sorted(tmp_path.rglob("*.html"))
    assert len(built) > 30
    for file in built:
        name = str(file.relative_to(tmp_path)).removesuffix("index.html")
        answer = Client().get(f"/guide/{name}", headers=BROWSER)
        text = answer.content.decode()
        assert (answer.status_code, is_strict(answer["Content-Security-Policy"])) == (200, True), name
        inline = [found for found in SCRIPT.finditer(text) if found["text"].strip()]
        assert [found["attributes"] for found in inline if "application/json" not in found["attributes"]] == []
        foreign = [a["address"] for a in LOADED.finditer(text) if a["address"].startswith(("http:", "https:", "//"))]
        assert foreign == [], name
