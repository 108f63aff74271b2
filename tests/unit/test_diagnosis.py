"""`souk doctor` says what is wrong, and warns of what is dangerous."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from souk import settings
from souk.commands.diagnosis import Finding, check_choices, check_ports


def told(check: Callable[[], Iterator[Finding]]) -> dict[str, str]:
    """What each finding is about, and its verdict."""
    return {found.about: found.verdict for found in check()}


def test_limits_that_are_off_and_debugging_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ORDER_HOLD", timedelta(seconds=300))
    monkeypatch.setattr(settings, "RATE_LIMITS", True)
    monkeypatch.setattr(settings, "DEBUG", False)
    assert told(check_choices) == {"hold": "ok", "limits": "ok"}
    monkeypatch.setattr(settings, "ORDER_HOLD", timedelta(seconds=59))
    monkeypatch.setattr(settings, "RATE_LIMITS", False)
    monkeypatch.setattr(settings, "DEBUG", True)
    assert told(check_choices) == {"hold": "warn", "limits": "warn", "debug": "warn"}


def test_both_ports_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for api, live, expected in (
            (0, 0, {"port": "ok", "live port": "ok"}),
            (port, 0, {"port": "fail", "live port": "ok"}),
            (0, port, {"port": "ok", "live port": "warn"}),
        ):
            monkeypatch.setattr(settings, "PORT", api)
            monkeypatch.setattr(settings, "LIVE_PORT", live)
            assert told(check_ports) == expected
