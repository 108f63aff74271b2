"""What a reaction is: who hears which events, and the two ways in which hearing one has an effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

Job = TypeVar("Job")
Answer = TypeVar("Answer")

STREAM = "souk.events."


def subject_type_of(event_type: str) -> str:
    """The kind of subject that events of this type tell about: the type's first word."""
    return event_type.partition(".")[0]


class Busy(Exception):
    """Somebody else works on this at the moment. Nothing was changed: come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as the log has it. `data` is what the operation told; `created` is the database's moment, in UTC."""

    id: UUID
    type: str
    subject_type: str
    subject_id: UUID
    sequence: int
    data: Mapping[str, Any]
    actor: str
    traceparent: str | None
    created: datetime


# Runs inside the transaction that also says that the event is heard. Whatever it raises undoes both.
Effect = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class JointEffect:
    """An effect that takes events of many subjects, one of each, at once. It must come to what one by one comes to.

    What it raises undoes all of them, and each is then heard alone.
    """

    run: Callable[[Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class Answered(Generic[Job, Answer]):
    """What came of one question."""

    event: Event
    job: Job
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand(Generic[Job, Answer]):
    """A reaction that must ask another system, which may take long and may not be done inside a transaction.

    `take` runs in a transaction of its own, with events of different subjects. By their ids it gives the jobs, or None
    where there is nothing left to ask (then the event counts as heard); an event that it leaves out has to wait for
    somebody else. `ask` runs outside any transaction, many at a time. `settle` writes down answers, in the transaction
    that says that their events are heard; it must bear being run twice.
    """

    take: Callable[[Sequence[Event]], Mapping[UUID, Job | None]]
    ask: Callable[[Job], Answer]
    settle: Callable[[Sequence[Answered[Job, Answer]]], None]


Reaction = Effect | JointEffect | Errand[Any, Any]


@dataclass(frozen=True, eq=False, kw_only=True)
class Consumer:
    """One that hears events: a consumer group of its own on the streams of its events' subjects.

    `number` stands for it in the database and is never given to another one. `hands` is how many events one worker
    handles at the same time, `batch` how many entries a hand takes from the streams at once.
    """

    name: str
    number: int
    hands: int = 1
    batch: int = 10
    reactions: dict[str, Reaction] = field(default_factory=dict)

    def on(self, *types: str) -> Callable[[Effect], Effect]:
        """Let the decorated function run for events of these types."""

        def remember(effect: Effect) -> Effect:
            self._add(types, effect)
            return effect

        return remember

    def on_many(self, *types: str) -> Callable[[Callable[[Sequence[Event]], None]], Callable[[Sequence[Event]], None]]:
        """Let the decorated function run for events of these types, many at once where many wait."""

        def remember(run: Callable[[Sequence[Event]], None]) -> Callable[[Sequence[Event]], None]:
            self._add(types, JointEffect(run))
            return run

        return remember

    def run_errand(self, *types: str, errand: Errand[Job, Answer]) -> None:
        """Let this errand be run for events of these types."""
        self._add(types, errand)

    def types(self) -> list[str]:
        """The types that it hears."""
        return sorted(self.reactions)

    def hears_together(self, event_type: str) -> bool:
        """Whether events of this type, which it hears, may be heard many at once."""
        return isinstance(self.reactions[event_type], JointEffect | Errand)

    def streams(self) -> list[str]:
        """The streams that it reads: one per kind of subject."""
        return sorted({STREAM + subject_type_of(event_type) for event_type in self.reactions})

    def _add(self, types: tuple[str, ...], reaction: Reaction) -> None:
        for event_type in types:
            if event_type in self.reactions:
                raise ValueError(f"{self.name} has two reactions to {event_type}")
            self.reactions[event_type] = reaction
