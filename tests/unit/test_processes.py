"""What a process that serves must be given."""

from __future__ import annotations

import os
from typing import Any

import pytest
from typer.testing import CliRunner

from souk import settings
from souk.cli import joined


@pytest.mark.parametrize("process", ["api", "live", "worker", "clock"])
def test_no_process_serves_without_the_key_of_all_of_them(process: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda *given: started.append(given))
    monkeypatch.setattr(settings, "DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setattr(settings, "GIVEN_SECRET_KEY", "")
    done = CliRunner().invoke(joined(), [process])
    assert (done.exit_code, started) == (1, [])
    assert "SOUK_SECRET_KEY" in done.output
    if process == "api":
        monkeypatch.setattr(settings, "GIVEN_SECRET_KEY", "of a test")
        assert CliRunner().invoke(joined(), [process]).exit_code == 0
        assert len(started) == 1
