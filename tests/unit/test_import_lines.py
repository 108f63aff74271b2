"""Reading lines for an import: files whole and broken, foreign formats, names made from names."""

from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from souk.catalog.operations.naming import slug_of, usernames_for
from souk.commands.icecat import line_of
from souk.commands.importing import ImportLine
from souk.commands.linefile import LONGEST_LINE, BrokenFile, LineFile, LineTooLong
from souk.commands.olist import Fate, plan_of
from souk.kit.parsing import shaped


def numbered(path: Path) -> list[tuple[int, Any]]:
    with LineFile(path) as file:
        return [(number, "too long" if isinstance(line, LineTooLong) else line) for number, line in file.lines()]


def icecat(**more: Any) -> dict[str, Any]:
    product = {"id": "1399", "title": "80 Original Cyan", "brand": "HP", "price_cents": 12595, "attributes": {}}
    return line_of({**product, **more})


@pytest.mark.parametrize("packed", [False, True])
def test_lines_are_numbered_as_an_editor_numbers_them(tmp_path: Path, packed: bool) -> None:
    content = b'{"a": 1}\n\n   \n{"b": 2}\r\n{"c": 3}'
    (tmp_path / "lines").write_bytes(gzip.compress(content) if packed else content)
    assert numbered(tmp_path / "lines") == [(1, b'{"a": 1}\n'), (4, b'{"b": 2}\r\n'), (5, b'{"c": 3}')]


def test_a_line_that_is_too_long_is_skipped_whole_and_the_next_ones_are_read(tmp_path: Path) -> None:
    longest = b"x" * (LONGEST_LINE - 1) + b"\n"
    (tmp_path / "lines").write_bytes(b"first\n" + b"y" * (3 * LONGEST_LINE) + b"\n" + longest + b"last\n")
    assert numbered(tmp_path / "lines") == [(1, b"first\n"), (2, "too long"), (3, longest), (4, b"last\n")]


def test_a_gzip_file_that_ends_early_gives_its_lines_and_then_says_so(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(b"line %d\n" % number for number in range(20_000)))
    (tmp_path / "lines.gz").write_bytes(whole[: len(whole) // 2])
    read = []
    with LineFile(tmp_path / "lines.gz") as file, pytest.raises(BrokenFile):  # noqa: PT012  # the lines before count
        for number, _ in file.lines():
            read.append(number)  # a list() would lose what was read before the end
    assert read
    assert read == list(range(1, len(read) + 1))


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Rösterei Halbmond", "rosterei-halbmond"),
        ("Kessel & Klinge", "kessel-klinge"),
        ("Vogel's", "vogels"),
        ("  be quiet!  ", "be-quiet"),
        ("Straße 7", "strasse-7"),
        ("李", ""),
    ],
)
def test_a_slug_is_plain_letters_digits_and_single_hyphens(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.parametrize(
    ("name", "usernames"),
    [
        ("Acer", ["acer", "acer-1", "acer-2"]),
        ("HP", ["hp-1", "hp-2", "hp-3"]),
        ("Support", ["support-1", "support-2", "support-3"]),
        ("李", ["seller", "seller-1", "seller-2"]),
        ("A" * 40, ["a" * 32, "a" * 30 + "-1", "a" * 30 + "-2"]),
    ],
)
def test_user_names_are_the_slug_and_numbered_where_it_is_short_or_taken(name: str, usernames: list[str]) -> None:
    assert list(islice(usernames_for(name), 3)) == usernames


def test_an_icecat_product_becomes_an_import_line() -> None:
    line = icecat(
        description="80 175-ml<br />Cyan <BR>Ink", attributes={"t_product_type": "Kids' craft kit (small)"}, model="80"
    )
    assert line == {
        "external_id": "1399",
        "seller": "HP",
        "title": "80 Original Cyan",
        "description": "80 175-ml\nCyan\nInk",
        "price": {"amount": 12595, "currency": "EUR"},
        "stock": 88,
        "tags": ["kids-craft-kit-small"],
    }


def test_an_icecat_title_that_is_too_long_is_cut_at_a_word_and_told_whole_in_the_description() -> None:
    title = "word " * 60
    line = icecat(title=title, description=None)
    assert line["title"] == ("word " * 39).rstrip() + "…"
    assert line["description"] == title.strip()


def test_an_icecat_product_type_without_a_letter_is_no_tag() -> None:
    assert icecat(attributes={"t_product_type": "1"})["tags"] == []
    assert icecat(attributes={"t_product_type": 7})["tags"] == []


def test_every_real_icecat_product_is_within_the_limits_of_a_product(real_data: Path) -> None:
    with gzip.open(real_data / "icecat" / "products.jsonl.gz") as lines:
        taken = [shaped(ImportLine, line_of(json.loads(line))) for line in lines]
    assert len(taken) == 19_406
    assert len({line.seller for line in taken}) == 161
    assert sum(line.stock == 0 for line in taken) == 973


def olist_file(folder: Path, count: int) -> Path:
    orders = [
        {
            "order_id": f"o{number}",
            "customer_id": "c",
            "lines": [
                {
                    "product_id": f"p{number % 30:031}",
                    "seller_id": "s1",
                    "quantity": 1,
                    "unit_price_cents": 500 + number,
                }
            ],
        }
        for number in range(count)
    ]
    path = folder / "orders.jsonl"
    path.write_text("".join(json.dumps(order) + "\n" for order in orders), encoding="utf-8")
    return path


def test_a_plan_forgets_a_tenth_of_the_orders_and_declines_a_tenth(tmp_path: Path) -> None:
    plan = plan_of(olist_file(tmp_path, 200), limit=100, seed=1)
    fates = [order.fate for order in plan.orders]
    assert (fates.count(Fate.FORGOTTEN), fates.count(Fate.DECLINED), fates.count(Fate.PAID)) == (10, 10, 80)
    assert plan_of(olist_file(tmp_path, 200), limit=100, seed=1) == plan
    assert [order.fate for order in plan_of(olist_file(tmp_path, 200), limit=100, seed=2).orders] != fates


def test_a_plan_stocks_what_is_asked_for_and_leaves_some_products_one_short(tmp_path: Path) -> None:
    plan = plan_of(olist_file(tmp_path, 90), limit=0, seed=1)
    assert len(plan.products) == 30
    assert {line.stock for line in plan.products} == {0}
    assert set(plan.available) == {2, 3}
    assert [line.amount for line in plan.products] == [500 + number for number in range(30)]
    assert [order.wanted for order in plan.orders[29:31]] == [((29, 1),), ((0, 1),)]
