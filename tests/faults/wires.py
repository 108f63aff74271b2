"""Connections that we stand between: one that is cut after COMMIT was sent, one whose client dies at XACK."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

# What psycopg sends to end a transaction, as a query of either protocol.
COMMIT = b"COMMIT\x00"
# XACK stream group entry, as it is sent.
XACK = re.compile(rb"XACK\r\n\$\d+\r\n([^\r]+)\r\n\$\d+\r\n([^\r]+)\r\n\$\d+\r\n([^\r]+)\r\n")
# A cut right after the sending leaves even the server in doubt; after its answer it is sure that it committed.
ANSWER_SECONDS = 0.5


class Cut(Exception):
    """This connection ends here."""


Pass = Callable[["Link", bytes], None]


@dataclass
class Link:
    """A client, the server, and what we do with what the client sends."""

    client: socket.socket
    server: socket.socket
    silent: bool = False

    def close(self) -> None:
        for one in (self.client, self.server):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@dataclass
class Wire:
    """A proxy on a free loopback port. `sending` passes on, or keeps back, what clients send; it may raise Cut."""

    target: tuple[str, int]
    sending: Pass
    answered: Pass = lambda link, data: None
    links: list[Link] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            link = Link(client, server)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.links.append(link)
            for work in (self._from_client, self._from_server):
                threading.Thread(target=work, args=[link], daemon=True).start()

    def close(self) -> None:
        """Cut everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would leave `accept` waiting
        self._listener.close()
        for link in self.links:
            link.close()

    def _from_client(self, link: Link) -> None:
        with suppress(OSError, Cut):
            while data := link.client.recv(65536):
                self.sending(link, data)
        link.close()

    def _from_server(self, link: Link) -> None:
        with suppress(OSError):
            while data := link.server.recv(65536):
                self.answered(link, data)
                if not link.silent:
                    link.client.sendall(data)
        link.close()


@contextmanager
def running(wire: Wire) -> Iterator[Wire]:
    """Serve until the block ends."""
    threading.Thread(target=wire.serve, daemon=True).start()
    try:
        yield wire
    finally:
        wire.close()


class CommitCutter:
    """Cuts connections after COMMIT was sent, each with this chance, while it is `armed`. `cuts` counts them."""

    def __init__(self, target: tuple[str, int], chance: random.Random, *, share: float = 0.3) -> None:
        self.wire = Wire(target, self._pass)
        self.armed = False
        self.cuts = 0
        self._chance, self._share = chance, share

    def _pass(self, link: Link, data: bytes) -> None:
        cut = self.armed and COMMIT in data and self._chance.random() < self._share
        link.silent = cut
        link.server.sendall(data)
        if cut:
            self.cuts += 1
            # Half of the time the server has surely answered when the connection ends.
            time.sleep(ANSWER_SECONDS if self._chance.random() < 0.5 else 0)
            raise Cut


class AckKiller:
    """Kills the worker behind it at a moment of its XACK. `before`: the XACK is never sent; else it was answered.

    Only the process that `aim` names dies, only once, and only for an entry that had an effect: `matters` is asked with
    the names of stream, group and entry.
    """

    def __init__(self, target: tuple[str, int], matters: Callable[[str, str, str], bool]) -> None:
        self.wire = Wire(target, self._pass, answered=self._answered)
        self._matters = matters
        self._pid, self._left, self._before = 0, 0, True
        self._waiting: Link | None = None
        self._lock = threading.Lock()

    def aim(self, pid: int, *, after: int, before: bool) -> None:
        """Kill `pid` at its XACK number `after` from now, of those that matter."""
        with self._lock:
            self._pid, self._left, self._before, self._waiting = pid, after, before, None

    @property
    def aims(self) -> bool:
        """Whether the one that was aimed at still lives."""
        return self._pid != 0

    def _pass(self, link: Link, data: bytes) -> None:
        found = XACK.search(data) if self._pid else None
        if found and self._matters(*(part.decode() for part in found.groups())):
            with self._lock:
                self._left -= 1
                if self._pid and self._left <= 0 and self._before:
                    self._shoot()
                    raise Cut
                if self._left <= 0:
                    self._waiting = link
        link.server.sendall(data)

    def _answered(self, link: Link, data: bytes) -> None:
        with self._lock:
            if self._pid and self._waiting is link:
                self._shoot()

    def _shoot(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self._pid, self._waiting = 0, None
