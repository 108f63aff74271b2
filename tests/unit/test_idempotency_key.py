"""The Idempotency-Key header: 1 to 255 printable ASCII characters, quoted or bare."""

from __future__ import annotations

import pytest
from django.test import RequestFactory
from rest_framework.request import Request

from souk.kit.idempotency import key_of
from souk.kit.problem import MalformedRequest


def asked(header: str | None) -> str | None:
    """The key of a request with this header."""
    headers = {} if header is None else {"Idempotency-Key": header}
    return key_of(Request(RequestFactory().post("/", headers=headers)))


def test_without_the_header_there_is_no_key() -> None:
    assert asked(None) is None


@pytest.mark.parametrize("key", ["a", "a" * 255, "order 1", "~!#$%&'()*+,-./:;<=>?@[]^_`{|}", "\\"])
def test_a_key_is_the_same_quoted_and_bare(key: str) -> None:
    assert asked(key) == key
    assert asked(f'"{key}"') == key


@pytest.mark.parametrize("header", ["", "a" * 256, f'"{"a" * 256}"', "a\0b", "a\tb", "a\x7fb", "schlüssel", "\x1f"])
def test_everything_else_is_malformed(header: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        asked(header)
    assert refused.value.status == 400
