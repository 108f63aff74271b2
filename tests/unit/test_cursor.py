"""Cursors: opaque on their way out, strictly read on their way back."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from souk.kit.cursor import BadCursor, decode_cursor, encode_cursor, link_next, paged

AN_ID = UUID("018f2d6e-8e1c-7abc-8def-0123456789ab")


def packed(text: str | bytes) -> str:
    """The text as a cursor carries it."""
    raw = text if isinstance(text, bytes) else text.encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_cursor_gives_back_the_key_it_was_made_of() -> None:
    assert decode_cursor("orders", encode_cursor("orders", AN_ID), UUID) == AN_ID
    assert decode_cursor("history", encode_cursor("history", 2**63 - 1), int) == 2**63 - 1


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!!!",
        "äöü",
        "a b",
        "A" * 501,
        packed("not json"),
        packed("[]"),
        packed('["orders"]'),
        packed('["orders", 5]'),
        packed('["orders", null]'),
        packed('["orders", "x"]'),
        packed('["orders", ""]'),
        packed(f'["products", "{AN_ID}"]'),
        packed(f'["orders", "{str(AN_ID).upper()}"]'),
        packed(f'["orders", "{{{AN_ID}}}"]'),
        packed(f'["orders", "{AN_ID}", "more"]'),
        packed(f'{{"orders": "{AN_ID}"}}'),
        packed("[" * 300),
        packed(b"\xff\xfe"),
        packed('["orders", "\\ud800"]'),
        encode_cursor("orders", AN_ID) + "A",
        encode_cursor("orders", AN_ID)[:-3],
    ],
)
def test_a_cursor_that_the_list_did_not_give_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor) as refused:
        decode_cursor("orders", cursor, UUID)
    assert refused.value.status == 400
    assert refused.value.code == "malformed_request"
    assert refused.value.errors == [
        {"parameter": "cursor", "code": "invalid", "detail": "Use the cursor that the list gave."}
    ]


@pytest.mark.parametrize("number", ["5_000", " 5", "+5", "05", "٣", "1e3", "5.0", str(2**63), str(-(2**63)), "9" * 300])
def test_a_number_in_a_cursor_has_one_spelling_and_fits_the_column(number: str) -> None:
    with pytest.raises(BadCursor):
        decode_cursor("history", packed(f'["history", "{number}"]'), int)


def test_a_page_ends_with_a_cursor_only_when_a_row_is_left() -> None:
    key: Callable[[int], Any] = int
    assert paged([1, 2, 3], 3, list_name="n", key=key) == ([1, 2, 3], None)
    page, following = paged([1, 2, 3], 2, list_name="n", key=key)
    assert page == [1, 2]
    assert following is not None
    assert decode_cursor("n", following, int) == 2
    assert paged([], 1, list_name="n", key=key) == ([], None)


def test_the_link_to_the_next_page_repeats_the_question_but_not_the_old_cursor() -> None:
    request = RequestFactory().get("/api/v1/things?tag=a&tag=b%20c&cursor=old&limit=2")
    linked = link_next(request, HttpResponse(), "new")
    assert linked["Link"] == '</api/v1/things?tag=a&tag=b+c&limit=2&cursor=new>; rel="next"'
    assert "Link" not in link_next(request, HttpResponse(), None)
