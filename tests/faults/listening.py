"""Who listens to a round from outside: a reader of the streams, an EventSource and a webhook, each through every death.

What they have heard is held against the log at the end: the streams are to bring every event (but for faults that
empty them), the live connection each once and in order, the webhook each at least once.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis

from tests.faults.ground import STREAMS, Ground
from tests.faults.players import Play, Player
from tests.receivers import Receiver, running_receiver
from tests.stack.listeners import Caller, Ear, listening
from tests.stack.private import wait_for

ARRIVE_SECONDS = 90.0
GROUP = "fault suite"
PLACES: Any = {f"souk.events.{name}": ">" for name in STREAMS}
NEWEST = "SELECT coalesce(max(n), 0) FROM eventlog_event"


@dataclass
class Tail:
    """Reads the streams as they grow, in a group of its own: nothing is trimmed before it was read.

    `told` counts how often each event came.
    """

    url: str
    told: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)
    _places: dict[bytes, tuple[int, int]] = field(default_factory=dict)

    def begin(self) -> None:
        """Read what comes from now on."""
        with self._client() as client:
            _make_groups(client, "$")
        threading.Thread(target=self._read, daemon=True).start()

    def end(self) -> None:
        """Leave the streams as if nobody had read them."""
        self.over.set()
        with self._client() as client, suppress(redis.RedisError):
            for stream in PLACES:
                client.xgroup_destroy(stream, GROUP)

    @property
    def again(self) -> int:
        """How many entries told what an earlier one had told."""
        return sum(count - 1 for count in self.told.values())

    def _client(self) -> Any:
        return redis.Redis.from_url(self.url, socket_timeout=3, socket_connect_timeout=2)

    def _read(self) -> None:
        with self._client() as client:
            while not self.over.is_set():
                try:
                    news: Any = client.xreadgroup(GROUP, "tail", PLACES, count=1000, block=200, noack=True)
                    self._hear(news or [])
                except redis.ResponseError as refused:
                    if str(refused).startswith("NOGROUP") and not self.over.is_set():
                        with suppress(redis.RedisError):
                            _make_groups(client, "0")
                    self.over.wait(0.05)
                except (redis.RedisError, OSError):
                    self.over.wait(0.05)

    def _hear(self, news: Any) -> None:
        for stream, entries in news:
            for entry, fields in entries:
                # A group that was made again, or has forgotten its last second, is given some entries once more.
                milliseconds, _, number = entry.partition(b"-")
                place = (int(milliseconds), int(number))
                if place <= self._places.get(stream, (0, 0)):
                    continue
                self._places[stream] = place
                with suppress(msgspec.DecodeError, KeyError):
                    self.told[str(msgspec.json.decode(fields[b"value"])["id"])] += 1


def _make_groups(client: Any, beginning: str) -> None:
    for stream in PLACES:
        with suppress(redis.ResponseError):  # it is there
            client.xgroup_create(stream, GROUP, id=beginning, mkstream=True)


@dataclass
class Heard:
    """What listeners of one user have heard: the events of the feed before them, and ids in the order they came."""

    reader: str
    before: int
    ids: list[str]


@dataclass
class Listeners:
    """All of a round."""

    ground: Ground
    tail: Tail
    since: int
    buyer: Player
    before: int
    ear: Ear
    receiver: Receiver

    def live(self) -> Heard:
        """What came over the live connection."""
        return Heard(self.buyer.user, self.before, [str(event["id"]) for event in self.ear.heard])

    def hooked(self) -> Heard:
        """What the webhook was sent."""
        ids = [str(msgspec.json.decode(body)["id"]) for _, body in self.receiver.taken]
        return Heard(self.buyer.user, self.before, ids)

    def passed_by(self) -> list[str]:
        """The events of this round that no stream has brought so far."""
        written = self.ground.rows("SELECT id::text FROM eventlog_event WHERE n > %s", self.since)
        return sorted(event for (event,) in written if not self.tail.told[event])

    def wait_until_told(self, *, whole: bool) -> None:
        """Give everything on its way the time to arrive; whether it did is for the checker to say."""
        with suppress(AssertionError):
            wait_for(
                lambda: self._has_heard_all() and not (whole and self.passed_by()),
                what="every listener has heard everything",
                seconds=ARRIVE_SECONDS,
            )

    def _has_heard_all(self) -> bool:
        expected = self.ground.value(
            "SELECT count(*) FROM eventlog_event WHERE %s::uuid = ANY (audience)", self.buyer.user
        )
        return all(len(set(heard.ids)) + self.before >= expected for heard in (self.live(), self.hooked()))


@contextmanager
def tailing(ground: Ground) -> Iterator[tuple[Tail, int]]:
    """A reader of the streams, and the number of the newest event before it."""
    since = int(ground.value(NEWEST))
    tail = Tail(ground.stack.environment["SOUK_REDIS_URL"])
    tail.begin()
    try:
        yield tail, since
    finally:
        tail.end()


@contextmanager
def listeners(ground: Ground, play: Play) -> Iterator[Listeners]:
    """Let them listen, one buyer's feed from where it stands; the webhook is deleted at the end."""
    buyer = play.buyers[0]
    voice = play.voice("listener", buyer, url=play.home_url)
    with ExitStack() as stack:
        tail, since = stack.enter_context(tailing(ground))
        receiver = stack.enter_context(running_receiver())
        page = voice.send("GET", "/events?limit=100", token=buyer.token)
        assert page.status == 200, page
        made = voice.send("POST", "/webhooks", {"url": receiver.url}, token=buyer.token)
        assert made.status == 201, made
        ear = stack.enter_context(
            listening(Caller(ground.stack, buyer.token), after=str(page.answer["next"]))
        )  # fmt: skip
        yield Listeners(ground, tail, since, buyer, len(page.answer["results"]), ear, receiver)
        voice.send("DELETE", f"/webhooks/{made.answer['id']}", token=buyer.token)
    voice.close()
