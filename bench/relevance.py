"""`python -m bench.relevance`: nDCG@10 of `sort=relevance` on the judged queries over the real catalogue.

With SOUK_SEARCH_URL the search server is asked, whose index must be there.

Gain is 2^rating - 1; queries without a relevant product are left out. Condensed: results that nobody judged are taken
out first; strict: they count as not relevant.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import msgspec
from django.conf import settings

from souk.catalog.models import Product
from souk.search.operations import serving
from souk.search.operations.finding import Wish, find_best

Judgements = dict[str, dict[str, int]]
DEEP = 100
AT = 10


def read_judgements(path: Path) -> Judgements:
    """Query -> external id -> rating 0 to 3."""
    judged: Judgements = defaultdict(dict)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            judged[row["query"]][row["product_id"]] = int(float(row["rating"]))
    return {query: ratings for query, ratings in judged.items() if any(ratings.values())}


def ndcg(ratings: Sequence[int], ideal: Sequence[int]) -> float:
    """How near the order of these ratings comes to the best order."""
    return _gain(ratings) / _gain(sorted(ideal, reverse=True))


def measured(judged: Judgements, find: Callable[[str], Sequence[str]]) -> tuple[float, float]:
    """Condensed and strict nDCG@10, means over the queries. `find` gives external ids, best first."""
    condensed, strict = 0.0, 0.0
    for query, ratings in judged.items():
        found = find(query)
        condensed += ndcg([ratings[one] for one in found if one in ratings], list(ratings.values()))
        strict += ndcg([ratings.get(one, 0) for one in found], list(ratings.values()))
    return condensed / len(judged), strict / len(judged)


def found_by_souk(external_ids: dict[object, str]) -> Callable[[str], list[str]]:
    """What `GET /products?sort=relevance` finds; `external_ids` is by product id."""

    def find(query: str) -> list[str]:
        best = serving.find_best if settings.SEARCH_URL else find_best
        found, _ = best(wish=Wish(words=query), after=None, limit=DEEP, caller_id=None)
        return [external_ids[UUID(msgspec.json.decode(one)["id"])] for one in found.shown]

    return find


def main() -> None:
    """Measure in the database that SOUK_DATABASE_URL names, and write bench/results/relevance.json."""

    judged = read_judgements(settings.DATA / "icecat" / "judgements_dev.csv.gz")
    known = dict(Product.objects.exclude(external_id=None).values_list("id", "external_id"))
    condensed, strict = measured(judged, found_by_souk(known))
    told = {"queries": len(judged), "condensed": round(condensed, 4), "strict": round(strict, 4)}
    print(told)  # noqa: T201  # a measurement talks to a terminal
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / f"relevance{'-server' if settings.SEARCH_URL else ''}.json").write_text(
        json.dumps(told) + "\n", encoding="utf-8"
    )


def _gain(ratings: Sequence[int]) -> float:
    return sum((2.0**rating - 1) / math.log2(place + 2) for place, rating in enumerate(ratings[:AT]))


if __name__ == "__main__":
    main()
