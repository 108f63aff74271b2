"""What the hub of the live process does when its own work ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import pytest

from souk.eventlog.feed import last_position
from souk.live import hub
from souk.live.hub import Hub


async def ended_within(seconds: float) -> bool:
    """Whether the process is asked to end while a hub is open for so long."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    opened = Hub()
    await opened.open()
    try:
        await asyncio.wait_for(ended.wait(), seconds)
    except TimeoutError:
        return False
    finally:
        await opened.close()
    return True


@pytest.mark.parametrize(("breaks", "ends"), [(True, True), (False, False)])
def test_a_hub_that_can_wake_nobody_any_more_ends_its_process_and_no_other_does(
    breaks: bool, ends: bool, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    async def ask(question: Callable[[], Any]) -> Any:
        if question is last_position:
            return 0
        if breaks:
            raise ValueError("nobody expects this")
        return 0, set(), False

    settings.REDIS_URL = ""
    monkeypatch.setattr(hub, "ask", ask)
    assert asyncio.run(ended_within(20 if ends else 1.5)) is ends
