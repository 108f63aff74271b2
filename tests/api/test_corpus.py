"""The corpus of evil inputs, given to the application itself: no 500, and no row changed by what is refused.

The same cases go over the wire in tests/stack/test_corpus.py, fewer of them in a day.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest
from django.conf import settings
from django.db import connections

from souk.wsgi import application
from tests.contract.corpus import cases_of, sampled
from tests.contract.inside import Inside
from tests.contract.scene import Rows, Scene
from tests.contract.walk import GROUPS, doors, walked

SHARE = float(os.environ.get("CORPUS_SHARE", "0.3"))
SEED = int(os.environ.get("CORPUS_SEED", "1"))
AWAY = frozenset({"/api/v1/live/tickets"})  # tickets are kept in Valkey, which does not run here


@pytest.fixture
def database(clean_database: None) -> str:
    """The address of the test database."""
    at = connections["default"].settings_dict
    return f"postgresql://{at['USER']}:{at['PASSWORD']}@{at['HOST']}:{at['PORT']}/{at['NAME']}"


@pytest.fixture
def scene(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(settings, "MAX_HOLDS_PER_USER", 1_000_000)
    inside = httpx.WSGITransport(app=application)
    made = Scene(lambda: httpx.Client(transport=inside, base_url="http://127.0.0.1"), database)
    yield made
    made.client.close()


@pytest.fixture
def rows(scene: Scene, database: str) -> Iterator[Rows]:
    looked_at = Rows(database)
    yield looked_at
    looked_at.close()


@pytest.mark.parametrize("group", GROUPS)
def test_no_evil_input_surprises_the_application(scene: Scene, rows: Rows, group: str) -> None:
    cases = [case for door in doors(scene, group) for case in cases_of(door) if case.place != "wire"]
    counted, wrong = walked(sampled(cases, SHARE, SEED), scene=scene, rows=rows, door=Inside(), away=AWAY)
    assert not wrong, f"{len(wrong)} of {counted.total()}:\n" + "\n".join(wrong[:300])
    assert counted.total() > 10
