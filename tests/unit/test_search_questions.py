"""How a question is read for the search server."""

from __future__ import annotations

from uuid import UUID

import pytest

from souk.search.operations.asking import Item, filters_of, must_match, read_question
from souk.search.operations.choosing import read_place
from souk.search.operations.finding import Place, Wish
from souk.search.operations.serving import ServerPlace

ID = UUID("01890000-0000-7000-8000-000000000000")


def word(text: str, *, unwanted: bool = False) -> Item:
    return Item(text, phrase=False, unwanted=unwanted)


def phrase(text: str, *, unwanted: bool = False) -> Item:
    return Item(text, phrase=True, unwanted=unwanted)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("walnut bowl", [[word("walnut"), word("bowl")]]),
        ("walnut -bowl", [[word("walnut"), word("bowl", unwanted=True)]]),
        ('"walnut foot" lamp', [[phrase("walnut foot"), word("lamp")]]),
        ('-"walnut foot" lamp', [[phrase("walnut foot", unwanted=True), word("lamp")]]),
        ('lamp "walnut foot', [[word("lamp"), phrase("walnut foot")]]),
        ("oak or lamp bowl", [[word("oak")], [word("lamp"), word("bowl")]]),
        ("or oak OR", [[word("oak")]]),
        ("the lamp of walnut", [[word("lamp"), word("walnut")]]),
        ("the who", [[word("the"), word("who")]]),
        ("lamp -the", [[word("lamp")]]),
        ("lamp &&& !", [[word("lamp")]]),
        ("!!! ... &&&", []),
        ("🥣", []),
        ('"" - or', []),
        ("שלום", [[word("שלום")]]),
    ],
)
def test_words_phrases_and_alternatives_are_told_apart(words: str, expected: list[list[Item]]) -> None:
    assert read_question(words) == expected


def test_a_question_of_unwanted_words_alone_asks_for_everything_else() -> None:
    asked = must_match(read_question("-walnut"))
    assert asked["bool"]["must"] == [{"match_all": {}}]
    assert len(asked["bool"]["must_not"]) == 1


def test_nothing_that_is_hidden_is_ever_asked_for() -> None:
    assert filters_of(Wish()) == [{"term": {"visible": True}}]
    wish = Wish(tags=("oak", "wood"), seller=ID, currency="EUR", least=0, most=9, available=True)
    assert filters_of(wish)[1:] == [
        {"term": {"tags.name": "oak"}},
        {"term": {"tags.name": "wood"}},
        {"term": {"seller": str(ID)}},
        {"term": {"currency": "EUR"}},
        {"range": {"price": {"gte": 0, "lte": 9}}},
        {"term": {"available": True}},
    ]


def test_a_place_among_the_best_says_whose_it_is() -> None:
    for place in (Place(0.25, ID), ServerPlace(12.5, ID, 20)):
        assert read_place(str(place)) == place


@pytest.mark.parametrize("text", ["server", f"server nan {ID} 1", f"server 1.0 {ID} 0", f"server 1.0 {ID} 10000", "x"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_place(text)
