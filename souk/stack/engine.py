"""Debezium Engine seen from Python: its batches as plain text, with few steps over the border between the two machines.

A step over costs about 10 us, and three per record (its key, value and destination) were most of what Python did here.
So Java itself joins a batch's keys, values and destinations, each into one text, and that text alone comes over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jpype

HEARTBEATS = "__debezium-heartbeat."
# What Debezium Server writes where a record has no key or no value, and what Java's joining makes of those.
NOTHING, JOINED_NOTHING = "default", "null"
# After each batch: what comes meanwhile is one batch, with one write of the place in the log. What comes after a quiet
# time waits for nothing.
GATHER_SECONDS = 0.02
log = logging.getLogger("souk.capture")


@dataclass(frozen=True, slots=True)
class Addition:
    """One entry to be: its stream, and its fields as Debezium Server writes them."""

    stream: str
    key: str
    value: str


Take = Callable[[Sequence[Addition]], None]


class Engine:
    """One run of the engine. The JVM runs already. `take` is given each batch, and raises to refuse it."""

    def __init__(self, properties: Mapping[str, str], take: Take) -> None:
        self._consumer = BatchConsumer(take)
        settings = jpype.JClass("java.util.Properties")()
        for name, value in properties.items():
            settings.setProperty(name, value)
        maker = jpype.JClass("io.debezium.engine.DebeziumEngine")
        json = jpype.JClass("io.debezium.engine.format.Json")
        self._engine = maker.create(json).using(settings).notifying(self._consumer).build()

    def run(self) -> None:
        """Run until closed or broken. Raises what `take` raised; other errors may end it quietly."""
        self._engine.run()
        if self._consumer.failure is not None:
            raise self._consumer.failure

    def close(self) -> None:
        """End the run of another thread."""
        self._engine.close()


@jpype.JImplements("io.debezium.engine.DebeziumEngine$ChangeConsumer", deferred=True)
class BatchConsumer:
    """Takes a batch whole: reads it, hands it on, and marks it as done when nobody objected."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._reader = BatchReader()
        self.failure: Exception | None = None

    @jpype.JOverride  # type: ignore[untyped-decorator]  # JPype has no types here
    def handleBatch(self, records: Any, committer: Any) -> None:  # noqa: N802 - the name that the engine calls
        """Called by the engine, one batch at a time. Once one was refused none is taken: its mark would cover both."""
        if self.failure is not None:
            # A full queue is handed on without a wait, and only in a wait does the engine see that it was interrupted.
            jpype.JClass("java.lang.Thread").currentThread().interrupt()
            return
        try:
            if additions := self._reader.read(records):
                self._take(additions)
            # The place in the log is the last record's; marking each would come to the same.
            committer.markProcessed(records.get(records.size() - 1))
            committer.markBatchFinished()
            if additions:
                time.sleep(GATHER_SECONDS)
        except Exception as error:  # noqa: BLE001 - Java's too; told by whoever runs the engine
            self.failure = error
            jpype.JClass("java.lang.Thread").currentThread().interrupt()

    @jpype.JOverride  # type: ignore[untyped-decorator]  # JPype has no types here
    def supportsTombstoneEvents(self) -> bool:  # noqa: N802 - the name that the engine calls
        """Whether records without a value may come: we take them as they are."""
        return True


class BatchReader:
    """Reads the records of a batch. Made of Java's own parts, so that no record comes over the border."""

    def __init__(self) -> None:
        self._join = jpype.JClass("java.util.stream.Collectors").joining("\n")
        self._parts = [_reading(part, of) for part, of in PARTS]

    def read(self, records: Any) -> list[Addition]:
        """The entries that a batch stands for; heartbeats are none. `records` is a Java list of ChangeEvent."""
        # JSON and the names of streams hold no line ends, so they part what was joined.
        streams, keys, values = (
            str(records.stream().map(part).collect(self._join)).split("\n") for part in self._parts
        )
        return [
            Addition(stream, _text(key), _text(value))
            for stream, key, value in zip(streams, keys, values, strict=True)
            if not stream.startswith(HEARTBEATS)
        ]


PARTS = (("destination", "java.lang.String"), ("key", "java.lang.Object"), ("value", "java.lang.Object"))


def _reading(part: str, of: str) -> Any:
    """`ChangeEvent::part` as a java.util.function.Function."""
    anything, event = jpype.JClass("java.lang.Object").class_, jpype.JClass("io.debezium.engine.ChangeEvent").class_
    method_type = jpype.JClass("java.lang.invoke.MethodType").methodType
    lookup = jpype.JClass("java.lang.invoke.MethodHandles").publicLookup()
    method = lookup.findVirtual(event, part, method_type(jpype.JClass(of).class_))
    function = jpype.JClass("java.util.function.Function").class_
    proxies = jpype.JClass("java.lang.invoke.MethodHandleProxies")
    return proxies.asInterfaceInstance(function, method.asType(method_type(anything, anything)))


def _text(joined: str) -> str:
    return NOTHING if joined == JOINED_NOTHING else joined
