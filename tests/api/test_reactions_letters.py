"""Dead letters in a person's hands: `souk events dead` lists them, `souk events requeue` lets them be heard again."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import msgspec
import pytest
from typer.testing import CliRunner, Result

from souk import settings
from souk.commands.events import app
from souk.eventlog.models import Event
from souk.kit.entity import new_id
from souk.reactions import consumers
from souk.reactions.letters import requeue
from souk.reactions.parking import MOST_TRIES, park_entry
from souk.reactions.progress import note_progress
from souk.reactions.reaction import Consumer
from souk.reactions.reconciler import try_again
from tests.hearers import (
    forget_samples,
    hear,
    heard_of,
    let_tries_be_due,
    letters,
    mend,
    processed,
    sample_consumer,
    tell,
    tries,
)


@pytest.fixture
def consumer(clean_database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Consumer]:
    one = sample_consumer()
    monkeypatch.setattr(consumers, "CONSUMERS", (one,))
    monkeypatch.setattr(settings, "DATABASE_URL", "postgresql://the-tests-own")
    yield one
    forget_samples()


@pytest.fixture
def sample() -> UUID:
    return new_id()


def souk(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["events", *arguments], env={"COLUMNS": "200"})


def park_first_of(consumer: Consumer, sample: UUID) -> tuple[Event, Event]:
    """A dead letter, and a later event of its subject that was heard."""
    broken, good = tell(sample, 1, fails=True), tell(sample, 2)
    hear(consumer, sample)
    for _ in range(MOST_TRIES - 1):
        let_tries_be_due()
        try_again([consumer])
    assert (letters(), heard_of(sample)) == ([broken.id], [2])
    return broken, good


def test_a_dead_letter_is_listed_with_its_consumer_type_tries_and_error(consumer: Consumer, sample: UUID) -> None:
    assert souk("dead").output == "There are no dead letters.\n"
    broken, _ = park_first_of(consumer, sample)
    line, error = souk("dead").output.splitlines()
    assert line.startswith(f"samples  {broken.id}  sample.told  5 tries  20")
    assert error.endswith("Unwilling: not this one")
    (listed,) = msgspec.json.decode(souk("dead", "--consumer", "samples", "--json").output)
    assert (listed["event_id"], listed["tries"], "Traceback" in listed["error"]) == (str(broken.id), 5, True)


def test_a_requeued_event_is_heard_again_from_its_first_try_whatever_its_age(consumer: Consumer, sample: UUID) -> None:
    broken, good = park_first_of(consumer, sample)
    note_progress([consumer])
    done = souk("requeue", str(broken.id))
    assert (done.exit_code, done.output) == (0, "To be heard again: 1. The clock begins within a second.\n")
    assert (letters(), processed(), tries()) == ([], {good.id}, {broken.id: 0})
    try_again([consumer])
    assert (tries(), heard_of(sample)) == ({broken.id: 1}, [2])
    mend([broken])
    let_tries_be_due()
    try_again([consumer])
    assert (heard_of(sample), tries(), letters(), processed()) == ([2, 1], {}, [], {broken.id, good.id})


def test_requeueing_may_name_one_consumer_or_all_and_says_when_there_is_nothing(
    consumer: Consumer, sample: UUID
) -> None:
    broken, _ = park_first_of(consumer, sample)
    assert souk("requeue", str(uuid4())).exit_code == 1
    assert souk("requeue", "--consumer", "nobody", "--all").exit_code == 1
    assert "Name events" in souk("requeue").output
    assert "is not the id" in souk("requeue", "soup").output
    assert letters() == [broken.id]
    assert souk("requeue", "--consumer", "samples").exit_code == 0
    assert letters() == []
    assert "There is no such dead letter" in souk("requeue", "--all").output


def test_a_letter_without_an_event_behind_it_is_only_taken_away(consumer: Consumer) -> None:
    park_entry(consumer, stream="souk.events.sample", entry_id="1-1", fields={"value": "soup"}, error="no event")
    assert "no event: souk.events.sample" in souk("dead").output
    assert requeue([consumer], ids=None).dropped == 1
    assert (letters(), tries()) == ([], {})
