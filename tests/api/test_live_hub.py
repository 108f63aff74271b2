"""What the hub of the live process does when its own work ends."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from souk.live import hub
from souk.live.hub import Hub
from souk.live.rows import THREADS

ASKERS = 4


@pytest.fixture(autouse=True)
def nobody_asks_any_more() -> Iterator[None]:
    """What was asked when a hub closed is answered before its database goes."""
    yield
    together = threading.Barrier(ASKERS)
    assert len(set(THREADS.map(lambda _: together.wait(20), range(ASKERS)))) == ASKERS


def test_a_hub_that_can_wake_nobody_any_more_ends_its_process(
    clean_database: None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.REDIS_URL = ""

    def break_down(position: int) -> Any:
        raise ValueError("nobody expects this")

    async def open_and_wait() -> None:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        opened = Hub()
        await opened.open()
        await asyncio.wait_for(ended.wait(), 20)
        await opened.close()

    monkeypatch.setattr(hub, "news_since", break_down)
    asyncio.run(open_and_wait())


def test_a_hub_that_is_closed_ends_nothing_else(clean_database: None, settings: Any) -> None:
    settings.REDIS_URL = ""

    async def open_and_close() -> bool:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        opened = Hub()
        await opened.open()
        await opened.close()
        await asyncio.sleep(0)
        return ended.is_set()

    assert asyncio.run(open_and_close()) is False
