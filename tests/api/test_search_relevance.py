"""Relevance on a real catalogue that people have judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection
from rich.console import Console

from bench.relevance import found_by_souk, measured, ndcg, read_judgements
from souk.catalog.models import Product
from souk.commands import icecat
from souk.commands.importing import import_file
from souk.search.models import SearchProduct
from souk.search.operations.statistics import copy_statistics
from tests.callers import Api


def test_the_measure_is_one_for_the_best_order_and_less_for_others() -> None:
    assert ndcg([3, 2, 0], [0, 2, 3]) == 1
    assert ndcg([0, 0, 0], [0, 2, 3]) == 0
    assert ndcg([2, 3], [2, 3]) == pytest.approx((3 + 7 / 1.5849625) / (7 + 3 / 1.5849625))


def test_judged_questions_reach_the_agreed_relevance_on_the_whole_real_catalogue(
    clean_database: None, real_data: Path
) -> None:
    source = real_data / "icecat" / "products.jsonl.gz"
    quiet = Console(quiet=True)
    summary = import_file(source, mapped=icecat.line_of, batch=2000, console=quiet, tell=lambda text: None)
    assert summary.created == SearchProduct.objects.count() == 19_406
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE search_product")  # as autovacuum does a minute later
    assert copy_statistics()  # and the clock after it
    judged = read_judgements(real_data / "icecat" / "judgements_dev.csv.gz")
    known = dict(Product.objects.values_list("id", "external_id"))
    condensed, strict = measured(judged, found_by_souk(known))
    assert (len(judged), condensed >= 0.80, strict >= 0.74) == (59, True, True), (condensed, strict)
    for query in judged:
        answer = Api().get("/products", q=query, sort="relevance")
        assert answer.status == 200
        assert answer.body["results"]
