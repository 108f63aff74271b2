"""The corpus of evil inputs through every door of a running server: no 500, and no row changed by what is refused.

`make test` sends a small share of it over the wire (tests/api/test_corpus.py gives a larger one to the application
itself), `make test-contract` all. Nothing but the API runs beside PostgreSQL and Valkey, so that every row that changes
was changed by a request.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from tests.contract.corpus import cases_of, sampled
from tests.contract.counts import Counts
from tests.contract.scene import Rows, Scene
from tests.contract.walk import GROUPS, doors, walked
from tests.contract.wire import Wire
from tests.stack.lone import running_api, running_live
from tests.stack.private import bare_environment
from tests.streams import running_valkey

SHARE = float(os.environ.get("CORPUS_SHARE", "0.02"))
SEED = int(os.environ.get("CORPUS_SEED", "1"))


@dataclass(frozen=True)
class Servers:
    """The addresses of the two, and what they log."""

    api: str
    live: str
    logs: list[Path]


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[str]:
    """A migrated database of its own."""
    name = f"souk_corpus_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield re.sub(r"/[^/?]+($|\?)", rf"/{name}\1", postgres_url)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def servers(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """An API and a live process on it. Limits are off."""
    home = tmp_path_factory.mktemp("corpus")
    logs = [home / "api.log", home / "live.log"]
    with running_valkey(home) as valkey:
        at = valkey.connection_pool.connection_kwargs
        environment = {
            **bare_environment(), "SOUK_HOME": str(home), "SOUK_DATABASE_URL": database, "SOUK_SECRET_KEY": "k" * 50,
            "SOUK_REDIS_URL": f"redis://127.0.0.1:{at['port']}/0", "SOUK_CACHE_URL": f"redis://127.0.0.1:{at['port']}/1",
            "SOUK_RATE_LIMITS": "off", "SOUK_MAX_HOLDS_PER_USER": "1000000", "SOUK_METRICS_TOKEN": "figures",
        }  # fmt: skip
        souk = [sys.executable, "-m", "souk"]
        subprocess.run([*souk, "migrate"], env=environment, check=True, capture_output=True)
        with running_api(environment, logs[0]) as api, running_live(environment, logs[1]) as live:
            yield Servers(api, live, logs)


@pytest.fixture(scope="module")
def scene(servers: Servers, database: str) -> Iterator[Scene]:
    made = Scene(lambda: httpx.Client(base_url=servers.api, timeout=60), database)
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def rows(scene: Scene, database: str) -> Iterator[Rows]:
    looked_at = Rows(database)
    yield looked_at
    looked_at.close()


@pytest.mark.parametrize("group", [*GROUPS, "Live streams"])
def test_no_evil_input_surprises_any_door(
    servers: Servers, scene: Scene, rows: Rows, contract_counts: Counts, group: str
) -> None:
    at = urlsplit(servers.live if group == "Live streams" else servers.api)
    wire = Wire(at.hostname or "", at.port or 0)
    cases = [case for door in doors(scene, group) for case in cases_of(door)]
    counted, wrong = walked(sampled(cases, SHARE, SEED), scene=scene, rows=rows, door=wire)
    wire.close()
    contract_counts.add("corpus", counted)
    assert not wrong, f"{len(wrong)} of {counted.total()}:\n" + "\n".join(wrong[:300])


def test_no_evil_input_was_an_error_of_ours(servers: Servers) -> None:
    """The logs tell every 500, also of requests whose answer nobody read."""
    lines = [line for log in servers.logs for line in log.read_text("utf-8", "replace").splitlines()]
    assert [line for line in lines if re.search(r'"status": ?50|unhandled error|Traceback', line)] == []
