"""A line of the log is one line of ASCII, whatever stands in it."""

from __future__ import annotations

import json

import pytest

from souk.kit.logs import rendered

HOSTILE = (
    "plain",
    '\n{"event":"forged"}\r\n',
    "\x1b[2J\x1b[31m\x00\x07\x7f",
    "\x85\x9b2J\u2028\u2029\u202e",
    "حقيبة 👩🏽‍🎨",
    "half of one: \ud83d",
    "A" * 100_000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:30])
def test_what_somebody_sent_stays_inside_its_line(text: str) -> None:
    line = {"event": text, text: ValueError(text), "number": 1.5}
    sent = rendered(None, "", line)
    assert sent.isascii()
    assert sent.endswith(b"\n")
    assert len(sent.splitlines()) == 1
    assert not set(sent[:-1]) & {*range(32)}
    assert json.loads(sent)["event"] == text
