"""The hub of the live process: what it does when its own work ends, and that it rests while nobody listens."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from souk.eventlog.feed import present_position
from souk.live import hub
from souk.live.hub import Hub, Listener


async def ended_within(seconds: float) -> bool:
    """Whether the process is asked to end while a hub is open for so long."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    opened = Hub()
    await opened.open()
    opened.join(Listener(uuid4(), "", 0))
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
        if question is present_position:
            return 0
        if breaks:
            raise ValueError("nobody expects this")
        return 0, set(), False

    settings.REDIS_URL = ""
    monkeypatch.setattr(hub, "ask", ask)
    assert asyncio.run(ended_within(20 if ends else 1.5)) is ends


def test_a_hub_asks_nothing_while_nobody_listens_and_whoever_comes_begins_at_the_present(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    position, looks_from = 100, []

    async def ask(question: Callable[[], Any]) -> Any:
        if question is present_position:
            return position
        looks_from.append(opened.tail)
        return position, set(), False

    async def quiet_then_two_listeners() -> None:
        nonlocal position
        await opened.open()
        await asyncio.sleep(2 * hub.LOOK_SECONDS)
        assert looks_from == []
        position = 5000
        for _ in range(2):  # the second one comes after the first has left
            assert await opened.present() == position
            only = Listener(uuid4(), "", position)
            opened.join(only)
            await asyncio.sleep(1.5 * hub.LOOK_SECONDS)
            opened.leave(only)
            await asyncio.sleep(1.5 * hub.LOOK_SECONDS)
            position += 5000
        await opened.close()

    settings.REDIS_URL = ""
    monkeypatch.setattr(hub, "ask", ask)
    opened = Hub()
    asyncio.run(quiet_then_two_listeners())
    # At most the look that was under way when one left, and none of what happened while nobody was there.
    assert 2 <= len(looks_from) <= 6
    assert set(looks_from) == {5000, 10000}


def test_who_joins_while_another_asks_for_the_present_is_woken_for_what_comes_between(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    first = Listener(uuid4(), "", 10)

    async def ask(question: Callable[[], Any]) -> Any:
        if question is not present_position:
            return question()
        if opened.tail < 10:
            return 10
        # While the second one asks, the first has joined and read, and something happens.
        opened.join(first)
        return 11

    async def two_come_at_once() -> None:
        await opened.open()
        await opened.present()
        try:
            await asyncio.wait_for(first.woken.wait(), 5)
        finally:
            await opened.close()

    settings.REDIS_URL = ""
    monkeypatch.setattr(hub, "ask", ask)
    monkeypatch.setattr(hub, "news_since", lambda tail: (11, {first.user_id} if tail < 11 else set(), False))
    opened = Hub()
    asyncio.run(two_come_at_once())
