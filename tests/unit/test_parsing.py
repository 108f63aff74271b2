"""Strict reading of bodies and queries: what has the shape comes through, everything else names its place."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from souk.kit.parsing import Nothing, Page, Shape, decoded_json, parsed, query_of, shaped
from souk.kit.problem import MalformedRequest, Refused, UnsupportedMediaType, ValidationFailed

AN_ID = "018f2d6e-8e1c-7abc-8def-0123456789ab"


class Crate(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something inside something."""

    weight: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=5)] = "x"


class Parcel(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of every kind of field."""

    crates: Annotated[list[Crate], msgspec.Meta(min_length=1, max_length=2)]
    to: UUID | None = None
    way: Literal["air", "sea"] = "sea"
    first: Crate | msgspec.UnsetType = msgspec.UNSET


class ParcelQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of every kind of parameter."""

    way: Literal["air", "sea"] | None = None
    to: UUID | None = None
    id: Annotated[list[UUID], msgspec.Meta(max_length=2)] = []


def body(raw: bytes | str, content_type: str = "application/json") -> Any:
    """A request with this body."""
    return RequestFactory().generic("POST", "/", raw if isinstance(raw, bytes) else raw.encode(), content_type)


def query(text: str) -> Request:
    """A request with this query."""
    return Request(RequestFactory().get(f"/?{text}"))


def places(refused: Refused) -> list[tuple[str, str]]:
    """What a refusal names: place and code."""
    return [(str(error.get("pointer", error.get("parameter"))), str(error["code"])) for error in refused.errors]


def test_a_body_of_the_right_shape_comes_through_whole() -> None:
    told = parsed(Parcel, body(f'{{"crates": [{{"weight": 2}}], "to": "{AN_ID}", "way": "air"}}'))
    assert told == Parcel(crates=[Crate(weight=2, label="x")], to=UUID(AN_ID), way="air")


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({}, [("/crates", "required")]),
        ({"crates": []}, [("/crates", "invalid")]),
        ({"crates": [{"weight": 1}] * 3}, [("/crates", "invalid")]),
        ({"crates": [{"weight": 0}]}, [("/crates/0/weight", "invalid")]),
        ({"crates": [{"weight": 1001}]}, [("/crates/0/weight", "invalid")]),
        ({"crates": [{"weight": "1"}]}, [("/crates/0/weight", "invalid")]),
        ({"crates": [{"weight": 1.0}]}, [("/crates/0/weight", "invalid")]),
        ({"crates": [{"weight": True}]}, [("/crates/0/weight", "invalid")]),
        ({"crates": [{"weight": None}]}, [("/crates/0/weight", "invalid")]),
        ({"crates": [{"weight": 10**18}]}, [("/crates/0/weight", "invalid")]),
        ({"crates": [{"weight": 10**4000}]}, [("/crates/0/weight", "invalid")]),
        ({"crates": [{"weight": 1, "label": ""}]}, [("/crates/0/label", "invalid")]),
        ({"crates": [{"weight": 1, "label": "123456"}]}, [("/crates/0/label", "invalid")]),
        ({"crates": "all"}, [("/crates", "invalid")]),
        ({"crates": [7]}, [("/crates/0", "invalid")]),
        ({"crates": [{"weight": 1}], "way": "AIR"}, [("/way", "invalid")]),
        ({"crates": [{"weight": 1}], "to": "me"}, [("/to", "invalid")]),
        ({"crates": [{"weight": 1}], "first": {"weight": 0}}, [("/first/weight", "invalid")]),
        ({"crates": [{"weight": 1}], "first": None}, [("/first", "invalid")]),
        ({"crates": [{"weight": 1}], "a/b~c": 1}, [("/a~1b~0c", "unknown")]),
        ([], [("", "invalid")]),
        (None, [("", "invalid")]),
        (
            {"crates": [{"weight": 0}, {"weight": 1, "size": 2}], "extra": 1},
            [("/crates/0/weight", "invalid"), ("/crates/1/size", "unknown"), ("/extra", "unknown")],
        ),
    ],
)
def test_every_wrong_place_of_a_body_is_named(sent: Any, named: list[tuple[str, str]]) -> None:
    with pytest.raises(ValidationFailed) as refused:
        shaped(Parcel, sent)
    assert places(refused.value) == named


@pytest.mark.parametrize(
    ("sent", "place"),
    [
        ('{"crates": [{"weight": 1, "label": "a\\u0000"}]}', "/crates/0/label"),
        ('{"crates": [{"weight": 1, "label": "\\ud800"}]}', "/crates/0/label"),
        ('{"crates": [{"weight": 1, "\\udfff": 1}]}', "/crates/0"),
        ('{"\\u0000": 1}', ""),
    ],
)
def test_nul_and_lone_surrogates_are_refused_where_they_stand(sent: str, place: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        parsed(Parcel, body(sent))
    assert places(refused.value) == [(place, "invalid")]


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert decoded_json(b'"\\ud83c\\udffa"') == "🏺"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} x',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 01}',
        b'{"a": ' + b"1" * 5000 + b"}",
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": 1, "a": 2}',
        b'{"b": [{"a": 1, "\\u0061": 2}]}',
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 100_000,
        b"[" * 200_000,
        b"[" * 33,
    ],
)
def test_what_is_no_strict_json_is_malformed(sent: bytes) -> None:
    with pytest.raises(MalformedRequest) as refused:
        decoded_json(sent)
    assert refused.value.code == "malformed_request"


def test_a_number_of_thousands_of_digits_is_told_as_what_it_is() -> None:
    with pytest.raises(MalformedRequest, match="digits"):
        decoded_json(b'{"a": ' + b"1" * 5000 + b"}")


def test_a_sign_that_stands_for_what_could_not_be_read_may_be_asked_for_all_the_same() -> None:
    assert query_of(ParcelQuery, query("cursor=%EF%BF%BD")).cursor == "\ufffd"


def test_json_of_32_levels_is_read_and_brackets_in_strings_are_no_levels() -> None:
    assert decoded_json(b"[" * 32 + b"]" * 32)
    assert decoded_json(b'["' + b"[" * 500 + b'\\"{", "]"]') == ["[" * 500 + '"{', "]"]


def test_a_number_past_every_float_is_no_integer() -> None:
    with pytest.raises(ValidationFailed) as refused:
        parsed(Crate, body('{"weight": 1e400}'))
    assert places(refused.value) == [("/weight", "invalid")]


# In a process of its own, as it ends by a segmentation fault where shapes are worked out by several threads at once.
FIRST_USES = """
import sys, threading
import django
django.setup()
from souk.kit.parsing import Shape, shaped

sys.setswitchinterval(1e-6)
SENT = {"inner": [{"number": 1, "words": ["a"]}]}

def use(shape, start):
    start.wait()
    assert shaped(shape, SENT).inner[0].number == 1

for _ in range(100):
    made = {"Shape": Shape, "__name__": "__main__"}
    exec("class Inner(Shape): number: int; words: list[str]", made)
    exec("class Outer(Shape): inner: list[Inner]", made)
    start = threading.Barrier(4)
    threads = [threading.Thread(target=use, args=(made["Outer"], start)) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def test_a_shape_that_several_threads_use_for_the_first_time_at_once_ends_no_process() -> None:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "souk.settings"}
    done = subprocess.run([sys.executable, "-c", FIRST_USES], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/json; charset=latin-1", "application/jsonx"]
)
def test_another_media_type_is_refused_before_the_body_is_read(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        parsed(Crate, body("{", content_type))


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8"])
def test_json_in_utf_8_is_the_media_type(content_type: str) -> None:
    assert parsed(Crate, body('{"weight": 7}', content_type)) == Crate(weight=7, label="x")


def test_a_request_that_says_all_by_its_address_may_have_an_empty_body_or_an_empty_object() -> None:
    assert parsed(Nothing, body("", "text/plain")) == Nothing()
    assert parsed(Nothing, body("{}")) == Nothing()
    with pytest.raises(ValidationFailed) as refused:
        parsed(Nothing, body('{"why": 1}'))
    assert places(refused.value) == [("/why", "unknown")]


def test_a_query_of_the_right_shape_comes_through_whole() -> None:
    assert query_of(ParcelQuery, query("")) == ParcelQuery(limit=20, cursor=None, way=None, to=None, id=[])
    asked = query_of(ParcelQuery, query(f"limit=100&way=air&id={AN_ID}&id={AN_ID}&cursor=c"))
    assert asked == ParcelQuery(limit=100, cursor="c", way="air", id=[UUID(AN_ID), UUID(AN_ID)])
    assert query_of(ParcelQuery, query(f"id={AN_ID}")).id == [UUID(AN_ID)]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("limit=0", [("limit", "invalid")]),
        ("limit=101", [("limit", "invalid")]),
        ("limit=-1", [("limit", "invalid")]),
        ("limit=", [("limit", "invalid")]),
        ("limit=ten", [("limit", "invalid")]),
        ("limit=1.0", [("limit", "invalid")]),
        ("limit=1e1", [("limit", "invalid")]),
        ("limit=true", [("limit", "invalid")]),
        ("limit=" + "9" * 5000, [("limit", "invalid")]),
        ("limit=1&limit=2", [("limit", "repeated")]),
        ("way=AIR", [("way", "invalid")]),
        ("way=null", [("way", "invalid")]),
        ("to=null", [("to", "invalid")]),
        ("to=NULL", [("to", "invalid")]),
        ("to=me", [("to", "invalid")]),
        ("id=1", [("id", "invalid")]),
        (f"id={AN_ID}&id={AN_ID}&id={AN_ID}", [("id", "invalid")]),
        ("cursor=%00", [("cursor", "invalid")]),
        ("%00=1", [("\0", "invalid")]),
        ("cursor=%ff", [("cursor", "invalid")]),
        ("cursor=%EF%BF", [("cursor", "invalid")]),
        ("size=1", [("size", "unknown")]),
        ("a/b~c=1", [("a/b~c", "unknown")]),
        ("limit=0&way=up", [("limit", "invalid"), ("way", "invalid")]),
    ],
)
def test_every_wrong_parameter_of_a_query_is_named(text: str, named: list[tuple[str, str]]) -> None:
    with pytest.raises(MalformedRequest) as refused:
        query_of(ParcelQuery, query(text))
    assert refused.value.code == "malformed_request"
    assert places(refused.value) == named
