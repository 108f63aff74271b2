"""The catalogue that comes with Souk reads like a market, and goes through the import as it is."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from souk.catalog.operations.naming import usernames_for
from souk.commands.importing import DEMO_CATALOGUE, ImportLine
from souk.kit.parsing import decoded_json, shaped

SENTENCE_END = re.compile(r"[.!?]”?\"?(?:\s|$)")


@pytest.fixture(scope="module")
def catalogue() -> list[ImportLine]:
    return [shaped(ImportLine, decoded_json(line)) for line in DEMO_CATALOGUE.read_bytes().splitlines()]


def test_it_has_about_200_products_of_about_20_sellers(catalogue: list[ImportLine]) -> None:
    sellers = Counter(line.seller for line in catalogue)
    assert (len(catalogue), len(sellers)) == (219, 21)
    assert min(sellers.values()) >= 10


def test_every_product_has_an_id_a_title_and_a_description_of_its_own(catalogue: list[ImportLine]) -> None:
    for field in ("external_id", "title", "description"):
        told = Counter(getattr(line, field) for line in catalogue)
        assert [value for value, count in told.items() if count > 1] == []


def test_every_description_has_one_to_four_sentences(catalogue: list[ImportLine]) -> None:
    lengths = {line.title: len(SENTENCE_END.findall(line.description)) for line in catalogue}
    assert {title: count for title, count in lengths.items() if not 1 <= count <= 4} == {}


def test_every_product_has_two_to_five_tags_of_a_small_vocabulary(catalogue: list[ImportLine]) -> None:
    assert {line.title: line.tags for line in catalogue if not 2 <= len(set(line.tags)) <= 5} == {}
    used = Counter(tag for line in catalogue for tag in line.tags)
    assert len(used) == 67
    assert [tag for tag, count in used.items() if count < 2] == []


def test_everything_is_priced_in_euro_and_can_be_ordered_together(catalogue: list[ImportLine]) -> None:
    assert {line.price.currency for line in catalogue} == {"EUR"}
    assert min(line.price.amount for line in catalogue) == 320
    assert max(line.price.amount for line in catalogue) == 148_000


def test_some_products_are_sold_out_and_some_are_plentiful(catalogue: list[ImportLine]) -> None:
    assert sum(line.stock == 0 for line in catalogue) == 20
    assert sum(line.stock >= 500 for line in catalogue) == 7


def test_every_seller_gets_a_user_name_without_a_number(catalogue: list[ImportLine]) -> None:
    names = {next(usernames_for(line.seller)) for line in catalogue}
    assert len(names) == 21
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9-]{2,31}", name)] == []
