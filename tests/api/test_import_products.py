"""Importing products writes what offering them one by one would have written, and running it again is safe."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from rich.console import Console

from souk.catalog.operations.importing import Change, Line, LineRefused, LineTaken, import_products
from souk.commands.books import disagreements
from souk.commands.importing import Summary, import_file
from souk.stock.operations import sell_stock
from tests.callers import PASSWORD, Api, SignedIn
from tests.holding import reserve_stock

MUG = {
    "external_id": "mug-1",
    "seller": "Tonhaus Mirabell",
    "title": "Breakfast mug",
    "description": "Holds a proper 350 ml.",
    "price": {"amount": 2400, "currency": "EUR"},
    "stock": 8,
    "tags": ["ceramics", "kitchen"],
}
LAMP = {**MUG, "external_id": "lamp-1", "seller": "Studio Fallwind", "title": "Clamp lamp", "stock": 0, "tags": []}
BOWL = {**MUG, "external_id": "bowl-1", "title": "Ramen bowl", "tags": ["ceramics"]}


class Importer:
    """Writes lines to a file, imports it, and keeps what was told about refused lines."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "products.jsonl"
        self.told: list[str] = []

    def __call__(self, *lines: Any, batch: int = 1000) -> Summary:
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        self.path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
        return self.again(batch=batch)

    def again(self, *, batch: int = 1000) -> Summary:
        self.told = []
        return import_file(self.path, batch=batch, console=Console(quiet=True), tell=self.told.append)


@pytest.fixture
def importer(clean_database: None, tmp_path: Path) -> Importer:
    return Importer(tmp_path)


def rows(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def counts(summary: Summary) -> tuple[int, int, int, int]:
    return summary.created, summary.changed, summary.unchanged, summary.refused


def product_id(external_id: str) -> UUID:
    ((found,),) = rows("SELECT id FROM catalog_product WHERE external_id = %s AND deleted IS NULL", external_id)
    return UUID(str(found))


def events_of(product: UUID) -> list[tuple[int, str]]:
    return rows("SELECT sequence, type FROM eventlog_event WHERE subject_id = %s ORDER BY sequence", product)


def sell(product: UUID, quantity: int) -> None:
    """Hold some of it for an order, and let it leave the house."""
    order = UUID(int=quantity)
    ((until,),) = rows("SELECT clock_timestamp() + interval '1 minute'")
    assert reserve_stock(order_id=order, wanted=[(product, quantity)], until=until) == []
    sell_stock(order_id=order)


def everything_about(product: UUID, *, seller: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a product, without ids and moments, and with its own seller's id blotted out."""
    questions = {
        "product": "SELECT title, description, price_amount, price_currency, images::text, state, version,"
        " published_id IS NOT NULL, last_sequence, deleted, created = updated FROM catalog_product WHERE id = %s",
        "stock": "SELECT on_hand, reserved, for_sale, version, last_sequence FROM stock_stock WHERE product_id = %s",
        "owner": "SELECT owner_id::text FROM stock_stock WHERE product_id = %s",
        "movement": "SELECT order_id, kind, d_on_hand, d_reserved, reason, note FROM stock_movement"
        " WHERE product_id = %s",
        "history": "SELECT subject_type, sequence, source, target, event FROM eventlog_transition"
        " WHERE subject_id = %s",
        "event": "SELECT type, subject_type, sequence, data::text, audience::text FROM eventlog_event"
        " WHERE subject_id = %s",
        "tags": "SELECT t.name, p.deleted FROM catalog_producttag p JOIN catalog_tag t ON t.id = p.tag_id"
        " WHERE p.product_id = %s ORDER BY t.name",
    }
    return {
        name: [tuple(str(value).replace(seller, "<seller>") for value in row) for row in rows(sql, product)]
        for name, sql in questions.items()
    }


@pytest.mark.parametrize("line", [MUG, LAMP])
def test_an_imported_product_has_the_same_rows_as_one_that_was_offered(
    importer: Importer, seller: SignedIn, line: dict[str, Any]
) -> None:
    assert counts(importer(MUG, LAMP)) == (2, 0, 0, 0)
    fields = ("title", "description", "price", "stock", "tags")
    offered = seller.post("/products", {name: line[name] for name in fields})
    assert offered.status == 201
    imported = product_id(line["external_id"])
    ((owner,),) = rows("SELECT seller_id::text FROM catalog_product WHERE id = %s", imported)
    told = everything_about(imported, seller=owner)
    assert told == everything_about(UUID(offered.body["id"]), seller=seller.id)
    assert told["stock"] == [(str(line["stock"]), "0", "True", "1", "1")]


def test_imported_products_are_listed_newest_last_line_first(importer: Importer, anonymous: Api) -> None:
    importer(MUG, LAMP, BOWL)
    page = anonymous.get("/products")
    assert [product["title"] for product in page.body["results"]] == ["Ramen bowl", "Clamp lamp", "Breakfast mug"]
    shown = page.body["results"][2]
    assert shown["seller"]["username"] == "tonhaus-mirabell"
    assert shown["seller"]["display_name"] == "Tonhaus Mirabell"
    assert (shown["available"], shown["tags"], shown["price"]) == (8, ["ceramics", "kitchen"], MUG["price"])


def test_importing_the_same_file_again_changes_nothing(importer: Importer) -> None:
    first = importer(MUG, LAMP, BOWL)
    assert (counts(first), first.users, first.tags) == ((3, 0, 0, 0), 2, 2)
    sell(product_id("mug-1"), 3)
    before = rows("SELECT id, version, updated FROM catalog_product ORDER BY id")
    events = rows("SELECT count(*) FROM eventlog_event")
    second = importer.again()
    assert (counts(second), second.users, second.tags) == ((0, 0, 3, 0), 0, 0)
    assert rows("SELECT id, version, updated FROM catalog_product ORDER BY id") == before
    assert rows("SELECT count(*) FROM eventlog_event") == events
    assert rows("SELECT on_hand FROM stock_stock WHERE product_id = %s", product_id("mug-1")) == [(5,)]


def test_a_changed_line_changes_its_product_alone_and_leaves_the_stock_to_the_sales(importer: Importer) -> None:
    importer(MUG, LAMP, BOWL)
    mug = product_id("mug-1")
    sell(mug, 3)
    changed = {**MUG, "title": "Supper mug", "price": {"amount": 2600, "currency": "EUR"}, "tags": ["kitchen", "gift"]}
    assert counts(importer(changed, LAMP, BOWL)) == (0, 1, 2, 0)
    assert rows("SELECT external_id, title, price_amount, version FROM catalog_product ORDER BY external_id") == [
        ("bowl-1", "Ramen bowl", 2400, 1),
        ("lamp-1", "Clamp lamp", 2400, 1),
        ("mug-1", "Supper mug", 2600, 2),
    ]
    assert rows(
        "SELECT t.name FROM catalog_producttag p JOIN catalog_tag t ON t.id = p.tag_id"
        " WHERE p.product_id = %s AND p.deleted IS NULL ORDER BY t.name",
        mug,
    ) == [("gift",), ("kitchen",)]
    assert events_of(mug) == [(1, "product.created"), (2, "product.changed")]
    assert rows("SELECT on_hand FROM stock_stock WHERE product_id = %s", mug) == [(5,)]


def test_a_changed_stock_is_counted_and_told_in_the_ledger(importer: Importer) -> None:
    importer(MUG)
    mug = product_id("mug-1")
    sell(mug, 3)
    assert counts(importer({**MUG, "stock": 20})) == (0, 1, 0, 0)
    assert rows("SELECT on_hand, reserved FROM stock_stock WHERE product_id = %s", mug) == [(20, 0)]
    last = rows(
        "SELECT kind, d_on_hand, reason FROM stock_movement WHERE product_id = %s ORDER BY id DESC LIMIT 1", mug
    )
    assert last == [("correction", 15, "counted")]
    assert rows("SELECT version FROM catalog_product WHERE id = %s", mug) == [(1,)]


def test_a_stock_below_what_is_held_is_refused_with_the_whole_line(importer: Importer, buyer: SignedIn) -> None:
    importer(MUG, LAMP)
    mug = product_id("mug-1")
    assert buyer.order(({"id": str(mug)}, 5)).status == 201
    summary = importer({**MUG, "stock": 4, "title": "Other mug"}, {**LAMP, "title": "Other lamp"})
    assert counts(summary) == (0, 1, 0, 1)
    assert importer.told == ["line 1: /stock: 5 are held for orders, more than would be on hand"]
    assert rows("SELECT title FROM catalog_product ORDER BY title") == [("Breakfast mug",), ("Other lamp",)]
    assert rows("SELECT on_hand, reserved FROM stock_stock WHERE product_id = %s", mug) == [(8, 5)]
    assert disagreements([mug, product_id("lamp-1")]) == []


def test_bad_lines_are_told_by_number_and_the_good_ones_are_imported(importer: Importer) -> None:
    summary = importer(
        MUG,
        '{"external_id": "x"',
        {**MUG, "external_id": "a", "stock": -1},
        "",
        {**MUG, "external_id": "b", "colour": "blue"},
        {**MUG, "external_id": "c", "tags": ["Not A Tag"]},
        {**MUG, "external_id": "d", "price": {"amount": 1, "currency": "XXQ"}},
        {**MUG, "external_id": "e", "title": "with a NUL \u0000"},
        {**MUG, "external_id": "f", "tags": ["trailing\n"]},
        {**MUG, "external_id": "g", "seller": "  "},
        BOWL,
    )
    assert counts(summary) == (2, 0, 0, 8)
    assert not summary.complete
    places = [told.split(":")[0] for told in importer.told]
    assert places == [f"line {number}" for number in (2, 3, 5, 6, 7, 8, 9, 10)]
    assert importer.told[0] == "line 2: The body is not valid JSON in UTF-8."
    assert importer.told[1].startswith("line 3: /stock: Expected int >= 0")
    assert importer.told[2] == "line 5: /colour: There is no such field."
    assert rows("SELECT external_id FROM catalog_product ORDER BY external_id") == [("bowl-1",), ("mug-1",)]


def test_an_import_that_broke_off_is_resumed_without_doing_anything_twice(importer: Importer) -> None:
    lines = [{**MUG, "external_id": f"mug-{number}", "title": f"Mug no. {number}"} for number in range(3000)]
    whole = gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode(), compresslevel=0)
    importer.path.write_bytes(whole[: len(whole) // 2])
    broken = importer.again(batch=500)
    assert broken.broken.startswith("the file is damaged or ends early")
    assert 500 <= broken.created < 3000
    importer.path.write_bytes(whole)
    assert counts(importer.again(batch=500)) == (3000 - broken.created, 0, broken.created, 0)
    assert rows("SELECT count(*) FROM catalog_product") == [(3000,)]
    assert rows("SELECT count(*) FROM eventlog_event WHERE type = 'product.created'") == [(3000,)]


def test_what_stands_before_the_damage_of_a_file_is_imported_to_the_last_line(importer: Importer) -> None:
    lines = [json.dumps({**MUG, "external_id": f"mug-{number}"}) for number in range(30)]
    lines[4] = "{}"
    text = "".join(line + "\n" for line in lines).encode()
    importer.path.write_bytes(gzip.compress(text, compresslevel=0)[:-600])
    summary = importer.again()
    whole = 30 - 600 // len(lines[0]) - 2
    assert summary.broken.startswith("the file is damaged or ends early")
    assert [told.partition(":")[0] for told in importer.told] == ["line 5"]
    assert whole - 1 <= summary.created <= 29
    assert rows("SELECT count(*) FROM catalog_product WHERE deleted IS NULL") == [(summary.created,)]


def test_refusals_of_all_batches_are_told_in_the_order_of_the_lines(importer: Importer) -> None:
    lines: list[Any] = [{**MUG, "external_id": f"mug-{number}"} for number in range(40)]
    for number in (0, 3, 17, 39):
        lines[number] = "no line"
    summary = importer(*lines, batch=7)
    assert [told.partition(":")[0] for told in importer.told] == ["line 1", "line 4", "line 18", "line 40"]
    assert (summary.created, summary.refused) == (36, 4)


def test_a_file_without_a_good_line_is_imported_as_nothing(importer: Importer) -> None:
    assert (importer().rows, importer("{}", "\n").refused) == (0, 1)


def test_a_product_that_comes_twice_in_one_file_is_as_its_last_line_says(importer: Importer) -> None:
    assert counts(importer(MUG, BOWL, {**MUG, "title": "Second thought"}, MUG)) == (2, 2, 0, 0)
    assert rows("SELECT title, version FROM catalog_product WHERE external_id = 'mug-1'") == [("Breakfast mug", 3)]


def test_a_batch_that_speaks_twice_of_one_product_is_refused_whole(clean_database: None) -> None:
    line = Line("m", "Tonhaus", "Mug", "", 100, "EUR", 1)
    with pytest.raises(ValueError, match="the same product"):
        import_products(lines=[line, line])
    assert rows("SELECT count(*) FROM accounts_user") == [(0,)]


def test_a_deleted_product_stays_deleted_until_its_line_changes(importer: Importer) -> None:
    importer(MUG)
    mug = product_id("mug-1")
    rows("UPDATE catalog_product SET deleted = clock_timestamp() WHERE id = %s RETURNING id", mug)
    assert counts(importer.again()) == (0, 0, 1, 0)
    assert rows("SELECT count(*) FROM catalog_product WHERE deleted IS NULL") == [(0,)]
    assert counts(importer({**MUG, "title": "Mug, made anew"})) == (1, 0, 0, 0)
    assert product_id("mug-1") != mug
    assert counts(importer.again()) == (0, 0, 1, 0)


def test_the_same_external_id_of_two_sellers_is_two_products(importer: Importer) -> None:
    assert counts(importer(MUG, {**LAMP, "external_id": "mug-1"})) == (2, 0, 0, 0)


def test_a_seller_whose_name_is_taken_gets_a_number_and_the_stranger_gets_no_products(
    importer: Importer, anonymous: Api
) -> None:
    taken = anonymous.post(
        "/users", {"username": "Tonhaus-Mirabell", "password": PASSWORD, "display_name": "Tonhaus Mirabell"}
    )
    assert taken.status == 201
    summary = importer(MUG, {**LAMP, "seller": "HP"})
    assert summary.users == 2
    named = rows(
        "SELECT u.username, u.display_name FROM catalog_product p JOIN accounts_user u ON u.id = p.seller_id ORDER BY 1"
    )
    assert named == [("hp-1", "HP"), ("tonhaus-mirabell-1", "Tonhaus Mirabell")]
    assert importer({**BOWL, "seller": "HP"}).users == 0


def test_a_seller_made_by_an_import_is_announced_and_cannot_sign_in(importer: Importer, anonymous: Api) -> None:
    importer(MUG)
    ((user_id, password),) = rows("SELECT id, password FROM accounts_user WHERE username = 'tonhaus-mirabell'")
    assert password.startswith("!")
    assert events_of(user_id) == [(1, "user.registered")]
    for guess in ("!", password, PASSWORD):
        asked = anonymous.form(
            "/oauth/token", grant_type="password", username="tonhaus-mirabell", password=guess, client_id="souk-web"
        )
        assert (asked.status, asked.body["error"]) == (400, "invalid_grant")


def test_a_thousand_lines_take_as_many_statements_as_ten(clean_database: None) -> None:
    assert statements_for(lines_of("a", 10)) == statements_for(lines_of("b", 1000))


def lines_of(seller: str, count: int) -> list[Line]:
    return [Line(f"{seller}-{number}", seller * 3, "Mug", "", 100, "EUR", 1, ("mug",)) for number in range(count)]


def statements_for(lines: Sequence[Line]) -> int:
    told: list[str] = []

    def count(run: Callable[..., Any], sql: str, *details: Any) -> Any:
        told.append(sql)
        return run(sql, *details)

    with connection.execute_wrapper(count):
        outcomes = import_products(lines=lines).outcomes
    assert {type(outcome) for outcome in outcomes} == {LineTaken}
    assert {outcome.change for outcome in outcomes if not isinstance(outcome, LineRefused)} == {Change.CREATED}
    return len(told)
