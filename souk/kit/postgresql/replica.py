"""How near a replica is to its primary, looked at beside the requests, once a second.

Places in the primary's log are compared: clocks of two hosts never are, and an idle primary makes nobody late. This
module knows no Django, so that `souk doctor` and the start can ask it too.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg
import structlog

Value = TypeVar("Value")
log = structlog.get_logger()
LOOK_SECONDS = 1.0
# A verdict counts this long: whoever looks may itself be kept waiting.
VERDICT_SECONDS = 3.0
# A replica that does not answer a read in this time is frozen or out of reach; the primary is asked instead.
PATIENCE_SECONDS = 2.0
# The places in the primary's log that are remembered, one a look.
PLACES = 600
PRIMARY = "SELECT pg_is_in_recovery(), system_identifier::text FROM pg_control_system()"
PLACE = "SELECT (pg_current_wal_lsn() - '0/0')::bigint"
REPLAYED = """
    SELECT pg_is_in_recovery(), system_identifier::text, coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::bigint
      FROM pg_control_system()
"""


class WrongReplica(Exception):
    """The server at SOUK_DATABASE_REPLICA_URL is no replica of the primary. Says what to do."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the replica is: `seconds` behind, where that is known; `fault` says why it is not read, empty when it is."""

    fault: str
    seconds: float | None = None


@dataclass(slots=True)
class Places:
    """Where the primary's log ended, and when: by this the lag of a replica is told from the place it has reached."""

    seen: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=PLACES))

    def note(self, place: int, at: float) -> None:
        """The log ended at `place` no earlier than at the moment `at`."""
        self.seen.append((place, at))

    def seconds_behind(self, replayed: int, now: float) -> float | None:
        """For how long there has been something that the replica has not; None when it is older than all we saw."""
        while len(self.seen) > 1 and self.seen[1][0] <= replayed:
            self.seen.popleft()
        if not self.seen or self.seen[0][0] > replayed:
            return None
        return now - self.seen[0][1]


def place_of(primary: psycopg.Connection[Any]) -> tuple[int, str]:
    """Where the primary's log ends, and the number of its cluster. Raises WrongReplica."""
    recovers, cluster = primary.execute(PRIMARY).fetchone() or (False, "")
    if recovers:
        raise WrongReplica("SOUK_DATABASE_URL names a server that is a replica itself: name the primary there.")
    (place,) = primary.execute(PLACE).fetchone() or (0,)
    return int(place), str(cluster)


def replayed_by(replica: psycopg.Connection[Any], *, cluster: str) -> int:
    """The place that the replica has reached. Raises WrongReplica when it is no replica of that cluster."""
    recovers, its_cluster, replayed = replica.execute(REPLAYED).fetchone() or (False, "", 0)
    if its_cluster != cluster:
        raise WrongReplica(
            f"SOUK_DATABASE_REPLICA_URL is a server of another cluster ({its_cluster}) than SOUK_DATABASE_URL "
            f"({cluster}): make the replica anew from the primary with pg_basebackup, or unset the variable."
        )
    if not recovers:
        raise WrongReplica(
            "SOUK_DATABASE_REPLICA_URL is a server that replays nothing: it was promoted, or is the primary itself. "
            "Make it a replica again (pg_rewind, or pg_basebackup), or unset the variable."
        )
    return int(replayed)


class Watch:
    """Looks at the replica beside the requests. It begins with the first question."""

    def __init__(self, *, primary_url: str, replica_url: str, limit_seconds: float) -> None:
        self.verdict = Verdict("It was not looked at yet.")
        self._urls = {"primary": primary_url, "replica": replica_url}
        self._limit = limit_seconds
        self._near_until = 0.0
        self._begun, self._looked = threading.Lock(), threading.Event()
        self._places = Places()
        self._lines: dict[str, psycopg.Connection[Any]] = {}
        self._reads: dict[int, tuple[float, int]] = {}
        self._guarding = threading.Lock()

    def is_near(self) -> bool:
        """Whether strangers may read the replica now."""
        if time.monotonic() < self._near_until:
            return True
        if not self._looked.is_set():
            self._begin()
        return False

    def told(self) -> Verdict:
        """The latest verdict; waits for the first one."""
        self._begin()
        self._looked.wait(2 * PATIENCE_SECONDS)
        return self.verdict

    def guarded(self, line: psycopg.Connection[Any], read: Callable[[], Value]) -> Value:
        """What the read gives; its connection is cut when that takes too long, so that no thread waits for ever."""
        me = threading.get_ident()
        with self._guarding:
            self._reads[me] = (time.monotonic() + PATIENCE_SECONDS, line.fileno())
        try:
            return read()
        finally:
            with self._guarding:
                del self._reads[me]

    def doubt(self) -> None:
        """Something went wrong there: the primary is read until the next look."""
        self._near_until = 0.0

    def _begin(self) -> None:
        if self._begun.acquire(blocking=False):
            for work in (self._look_on, self._guard):
                threading.Thread(target=work, name="replica", daemon=True).start()

    def _look_on(self) -> None:
        while True:
            verdict = self._look()
            if verdict.fault and verdict.fault != self.verdict.fault:
                log.warning("replica.not_read", why=verdict.fault)
            elif self.verdict.fault and not verdict.fault:
                log.info("replica.read", behind_seconds=verdict.seconds)
            self.verdict = verdict
            self._near_until = 0.0 if verdict.fault else time.monotonic() + VERDICT_SECONDS
            self._looked.set()
            time.sleep(LOOK_SECONDS)

    def _look(self) -> Verdict:
        try:
            began = time.monotonic()
            place, cluster = self._ask("primary", place_of)
            self._places.note(place, began)
            replayed = self._ask("replica", lambda line: replayed_by(line, cluster=cluster))
        except WrongReplica as wrong:
            return Verdict(str(wrong))
        except Exception as error:  # noqa: BLE001  # whatever it is, the primary is read and we look again
            return Verdict(f"It, or the primary, does not answer: {str(error).strip()}")
        seconds = self._places.seconds_behind(replayed, time.monotonic())
        if seconds is None or seconds > self._limit:
            behind = "for an unknown time" if seconds is None else f"{seconds:.1f} s"
            return Verdict(f"It is behind {behind}; {self._limit:g} s are allowed.", seconds)
        return Verdict("", seconds)

    def _ask(self, name: str, question: Callable[[psycopg.Connection[Any]], Value]) -> Value:
        line = self._lines.get(name)
        if line is None or line.closed:
            line = self._lines[name] = psycopg.connect(
                self._urls[name], autocommit=True, connect_timeout=2, application_name="souk replica watch"
            )
        try:
            return self.guarded(line, lambda: question(line))
        except psycopg.Error:
            line.close()
            raise

    def _guard(self) -> None:
        while True:
            time.sleep(PATIENCE_SECONDS / 8)
            with self._guarding:
                late = [number for until, number in self._reads.values() if until < time.monotonic()]
                for number in late:
                    with suppress(OSError), socket.socket(fileno=os.dup(number)) as line:
                        line.shutdown(socket.SHUT_RDWR)


def fault_of(*, primary_url: str, replica_url: str) -> tuple[str, bool]:
    """What keeps the replica from being read, looked at once, and whether it is the wrong server; empty: nothing."""
    try:
        with psycopg.connect(primary_url, autocommit=True, connect_timeout=5) as primary:
            _, cluster = place_of(primary)
        with psycopg.connect(replica_url, autocommit=True, connect_timeout=5) as replica:
            replayed_by(replica, cluster=cluster)
    except WrongReplica as wrong:
        return str(wrong), True
    except psycopg.Error as error:
        return f"The replica does not answer: {str(error).strip()}. See SOUK_DATABASE_REPLICA_URL.", False
    return "", False
