"""A consumer and events of the tests' own. What it has heard stands in the history of the events' subject."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from django.db import connection

from souk.eventlog.models import Event, Transition
from souk.eventlog.operations import database_now
from souk.kit.context import current_traceparent
from souk.kit.entity import new_id
from souk.reactions.hearing import Caught, Subject, catch_up
from souk.reactions.models import DeadLetter, Processed, Retry
from souk.reactions.reaction import Consumer
from souk.reactions.reaction import Event as HeardEvent


def forget_samples() -> None:
    """Take the samples out of the log and the history: there are no rows that they tell about."""
    Event.objects.filter(subject_type="sample").delete()
    Transition.objects.filter(subject_type="sample").delete()


class Unwilling(Exception):
    """What an effect raises while the event's data asks for it."""


class Killed(BaseException):
    """The end of the process in the middle of an effect: nothing catches it."""


def sample_consumer(number: int = 90) -> Consumer:
    """A consumer of `sample.told` that writes down what it hears; `data` may say that it fails, or dies."""
    consumer = Consumer(name="samples", number=number)

    @consumer.on("sample.told")
    def write_down(event: HeardEvent) -> None:
        Transition.objects.create(
            subject_type=event.subject_type,
            subject_id=event.subject_id,
            sequence=event.sequence,
            target="heard",
            event=str(event.data.get("word", "")),
            actor=current_traceparent() or "system",
        )
        # After the effect, so that a test sees whether it is undone.
        if event.data.get("fails"):
            raise Unwilling("not this one\0")
        if event.data.get("dies"):
            raise Killed

    return consumer


def joint_consumer(number: int = 95) -> Consumer:
    """The same for many subjects at once. Returns after all are written down; one that fails fails them all."""
    consumer = Consumer(name="jointly", number=number, batch=50)

    @consumer.on_many("sample.told")
    def write_down(events: Sequence[HeardEvent]) -> None:
        for event in events:
            Transition.objects.create(
                subject_type=event.subject_type,
                subject_id=event.subject_id,
                sequence=event.sequence,
                target="heard",
                event=f"one of {len(events)}",
                actor=event.traceparent or "system",
            )
        if any(event.data.get("fails") for event in events):
            raise Unwilling("not all of these")

    return consumer


def tell(subject_id: UUID, sequence: int, **data: object) -> Event:
    """Write an event into the log."""
    return Event.objects.create(
        id=new_id(),
        type="sample.told",
        subject_type="sample",
        subject_id=subject_id,
        sequence=sequence,
        data=data,
        actor="system",
        audience=[],
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def hear(consumer: Consumer, subject_id: UUID, *, again: bool = False) -> Caught:
    """Let the consumer hear everything of the sample."""
    return catch_up(consumer, Subject("sample", subject_id), again=again)


def heard_of(subject_id: UUID) -> list[int]:
    """The sequences that had their effect, in the order in which they had it."""
    rows = Transition.objects.filter(subject_id=subject_id).order_by("id")
    return list(rows.values_list("sequence", flat=True))


def processed() -> set[UUID]:
    """The ids of the events that count as heard."""
    return set(Processed.objects.values_list("event_id", flat=True))


def tries() -> dict[UUID, int]:
    """How often each failed event was tried."""
    return dict(Retry.objects.values_list("event_id", "tries"))


def letters() -> list[UUID]:
    """The events that became dead letters, in that order."""
    return list(DeadLetter.objects.order_by("id").values_list("event_id", flat=True))


def let_tries_be_due() -> None:
    """Let the pauses of all failed events be over."""
    Retry.objects.update(next_try_at=database_now() - timedelta(seconds=1))


def mend(events: Sequence[Event]) -> None:
    """Take away what makes the effect of these events fail."""
    Event.objects.filter(id__in=[event.id for event in events]).update(data={})


def at_once(works: Sequence[Callable[[], None]]) -> None:
    """Do these works at the same time, each in a thread and with a connection of its own; raises what they raise."""
    raised: list[BaseException] = []

    def do(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [thread for thread in threads if thread.is_alive()] == []
    if raised:
        raise raised[0]
