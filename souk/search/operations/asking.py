"""What is asked for, in the language of the search server: the questions that `websearch_to_tsquery` reads.

Words must all be there, in whichever of title, tags and description; `"a phrase"` stands within one of them; `-word`
and `-"a phrase"` are nowhere; `or` between words is enough with one side.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from souk.search.gateway import STOP_WORDS
from souk.search.operations.finding import Wish

Query = Mapping[str, Any]
PART = re.compile(r'(-*)"([^"]*)"?|([^\s"]+)')
WORD = re.compile(r"\w+")
FIELDS = ("title^2", "tags", "description")
# How much more a product counts that has every word: found, like the weights of the fields, over all judged queries.
WHOLE = 2.0
TIE = 0.4


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is asked for: a word, or a phrase; `unwanted` when it may not be there."""

    text: str
    phrase: bool
    unwanted: bool

    @property
    def says(self) -> bool:
        """Whether it has a word that is no stop word."""
        return any(word.lower() not in STOP_WORDS for word in WORD.findall(self.text))


def read_question(words: str) -> list[list[Item]]:
    """The alternatives that `or` parts, each with its items; those without a word are left out."""
    alternatives: list[list[Item]] = [[]]
    for minus, phrase, plain in PART.findall(words):
        if plain.lower() == "or":
            alternatives.append([])
            continue
        text = phrase or plain
        if WORD.search(text):
            unwanted = bool(minus) or plain.startswith("-")
            alternatives[-1].append(Item(text.lstrip("-"), phrase=bool(phrase), unwanted=unwanted))
    alternatives = [items for items in alternatives if items]
    if any(item.says for items in alternatives for item in items):
        alternatives = [[item for item in items if item.says] for items in alternatives]
    return [items for items in alternatives if items]


def must_match(alternatives: Sequence[Sequence[Item]]) -> Query:
    """What matches one of the alternatives, every item of it."""
    found = [_all_of(items) for items in alternatives]
    return found[0] if len(found) == 1 else {"bool": {"should": found, "minimum_should_match": 1}}


def should_match(alternatives: Sequence[Sequence[Item]]) -> Query:
    """The same for the best first. Plain words may also be asked for singly: who has all of them comes first."""
    items = alternatives[0]
    if len(alternatives) > 1 or any(item.phrase or item.unwanted for item in items):
        return must_match(alternatives)
    text = " ".join(item.text for item in items)
    analyzer = _analyzer(items)
    some = _across(text, analyzer, "or", boost=1.0)
    return {"bool": {"should": [some, _across(text, analyzer, "and", boost=WHOLE)], "minimum_should_match": 1}}


def filters_of(wish: Wish) -> list[Query]:
    """Everything but the words. What nobody may see is never found."""
    wanted: list[Query] = [{"term": {"visible": True}}]
    wanted += [{"term": {"tags.name": tag}} for tag in wish.tags]
    if wish.seller is not None:
        wanted.append({"term": {"seller": str(wish.seller)}})
    if wish.currency is not None:
        wanted.append({"term": {"currency": wish.currency}})
    bounds = {name: value for name, value in (("gte", wish.least), ("lte", wish.most)) if value is not None}
    if bounds:
        wanted.append({"range": {"price": bounds}})
    if wish.available:
        wanted.append({"term": {"available": True}})
    return wanted


def milliseconds_of(published_id: UUID) -> int:
    """The moment in a UUIDv7."""
    return published_id.int >> 80


def _all_of(items: Sequence[Item]) -> Query:
    analyzer = _analyzer(items)
    plain = [item.text for item in items if not (item.phrase or item.unwanted)]
    wanted = [_across(" ".join(plain), analyzer, "and", boost=1.0)] if plain else []
    wanted += [_one(item, analyzer) for item in items if item.phrase and not item.unwanted]
    unwanted = [_one(item, analyzer) for item in items if item.unwanted]
    if len(wanted) == 1 and not unwanted:
        return wanted[0]
    return {"bool": {"must": wanted or [{"match_all": {}}], "must_not": unwanted}}


def _one(item: Item, analyzer: str) -> Query:
    if item.phrase:
        asked = {"query": item.text, "type": "phrase", "fields": FIELDS, "analyzer": analyzer}
        return {"multi_match": asked}
    return _across(item.text, analyzer, "and", boost=1.0)


def _across(text: str, analyzer: str, operator: str, *, boost: float) -> Query:
    return {
        "multi_match": {
            "query": text,
            "type": "cross_fields",
            "operator": operator,
            "fields": FIELDS,
            "tie_breaker": TIE,
            "analyzer": analyzer,
            "boost": boost,
        }
    }


def _analyzer(items: Sequence[Item]) -> str:
    return "souk_question" if any(item.says for item in items) else "souk_text"
