"""Reads take turns, and nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from souk.kit import turns
from souk.kit.turns import Turns

WAIT = 10


class Application:
    """Counts how many calls are within it at once; each stays until it is let go."""

    def __init__(self) -> None:
        self.within = self.most = self.ended = 0
        self.counting, self.go = threading.Condition(), threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self.counting:
            self.within += 1
            self.most = max(self.most, self.within)
            self.counting.notify_all()
        assert self.go.wait(WAIT)
        with self.counting:
            self.within -= 1
            self.ended += 1
        if environ["PATH_INFO"].endswith("broken"):
            raise RuntimeError("broken")
        return [b"read"]

    def wait_for(self, calls: int) -> bool:
        with self.counting:
            return self.counting.wait_for(lambda: self.within == calls, WAIT)


def call(application: Turns, method: str = "GET", path: str = "/api/v1/products") -> list[bytes]:
    return list(application({"REQUEST_METHOD": method, "PATH_INFO": path}, lambda *_: None))


@pytest.mark.parametrize("at_once", [1, 2])
def test_reads_of_the_api_take_turns(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", WAIT)
    inner = Application()
    application = Turns(inner, at_once=at_once)
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(call, application) for _ in range(4)]
        assert inner.wait_for(at_once)
        inner.go.set()
        assert [answer.result(WAIT) for answer in answers] == [[b"read"]] * 4
    assert (inner.most, inner.ended) == (at_once, 4)


def test_who_has_waited_long_goes_on() -> None:
    inner = Application()
    application = Turns(inner, at_once=1)
    with ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(call, application) for _ in range(4)]
        assert inner.wait_for(4), "a read that hangs keeps the others from being answered"
        inner.go.set()
        assert [answer.result(WAIT) for answer in answers] == [[b"read"]] * 4


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/orders"), ("GET", "/health/live")])
def test_everything_else_passes_by(method: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", WAIT)
    inner = Application()
    application = Turns(inner, at_once=1)
    with ThreadPoolExecutor(4) as threads:
        reading = threads.submit(call, application)
        assert inner.wait_for(1)
        others = [threads.submit(call, application, method, path) for _ in range(3)]
        assert inner.wait_for(4)
        inner.go.set()
        assert [answer.result(WAIT) for answer in (reading, *others)] == [[b"read"]] * 4


def test_a_read_that_fails_gives_its_turn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", WAIT)
    inner = Application()
    inner.go.set()
    application = Turns(inner, at_once=1)
    with pytest.raises(RuntimeError):
        call(application, path="/api/v1/broken")
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(call, application).result(WAIT / 2) == [b"read"], "it waits for a turn that nobody has"
