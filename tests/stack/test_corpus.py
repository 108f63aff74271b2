"""The corpus of evil inputs through every door of a running server: no 500, and no row changed by what is refused.

`make test` sends a share of it, `make test-contract` all. Nothing but the API runs beside PostgreSQL and Valkey, so
that every row that changes was changed by a request.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.urls import get_resolver

from souk.settings import CHECKOUT
from tests.callers import PASSWORD
from tests.contract.corpus import Case, Door, cases_of, sampled
from tests.contract.counts import Counts
from tests.contract.scene import Rows, Scene
from tests.contract.wire import Heard, Wire, request_bytes
from tests.routes import patterns
from tests.stack.lone import running_api, running_live
from tests.stack.private import bare_environment
from tests.streams import running_valkey

SHARE = float(os.environ.get("CORPUS_SHARE", "0.1"))
SEED = int(os.environ.get("CORPUS_SEED", "1"))
CONTRACT: dict[str, Any] = json.loads((CHECKOUT / "docs" / "openapi.json").read_text("utf-8"))
TAGS = [tag["name"] for tag in CONTRACT["tags"]]
# Tables in which a refusal may leave a row, and when: what was answered under an Idempotency-Key is kept, 409 too, so
# that asking again is answered alike.
KEPT_ANSWERS = "kit_idempotentanswer"
# What reading may write: events that wait for a position get one (the live process goes on doing so by itself).
NUMBERED = {"eventlog_event", "eventlog_audience", "eventlog_position"}
WRITTEN_BY_READS = {"/api/v1/events": NUMBERED, "/live": NUMBERED}
# What the server in front of the application refuses by itself, without a body: it is no HTTP.
BARE = {0, 400, 405, 414, 431, 501, 505}
# Places of a request that can make it no HTTP at all.
MAYBE_NO_HTTP = {"wire", "method", "path", "header", "query"}


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
        staff = ["user", "create", "--username", "evil-staff", "--password", PASSWORD, "--staff"]
        for command in (["migrate"], staff):
            subprocess.run([*souk, *command], env=environment, check=True, capture_output=True)
        with running_api(environment, logs[0]) as api, running_live(environment, logs[1]) as live:
            yield Servers(api, live, logs)


@pytest.fixture(scope="module")
def scene(servers: Servers) -> Iterator[Scene]:
    made = Scene(servers.api)
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def rows(scene: Scene, database: str) -> Iterator[Rows]:
    looked_at = Rows(database)
    yield looked_at
    looked_at.close()


def doors(scene: Scene, group: str) -> list[Door]:
    """The doors of a tag of the contract, or the pages that it leaves out."""
    if group in TAGS:
        return [
            scene.door(method.upper(), path, operation)
            for path, methods in CONTRACT["paths"].items()
            for method, operation in methods.items()
            if group in operation["tags"]
        ]
    if group == "Live streams":
        return [Door("GET", "/live"), Door("GET", "/health/live")]
    found = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", f"/{pattern}") for pattern in patterns(get_resolver())}
    pages = {path for path in found if not path.startswith("/api/v1/") and path not in CONTRACT["paths"]}
    plain = {
        re.sub(r"[\^$]|\(\?P<\w+>[^)]*\)|\\", "", path).replace("{object_id}", scene.ids["order_id"]) for path in pages
    }
    staff = {path for path in plain if path.startswith("/admin/")}
    return [Door("GET", path) for path in sorted(staff if group == "Pages for staff" else plain - staff)]


@pytest.mark.parametrize("group", [*TAGS, "Pages", "Pages for staff", "Live streams"])
def test_no_evil_input_surprises_any_door(
    servers: Servers, scene: Scene, rows: Rows, contract_counts: Counts, group: str
) -> None:
    at = urlsplit(servers.live if group == "Live streams" else servers.api)
    wire = Wire(at.hostname or "", at.port or 0)
    counted: Counter[str] = Counter()
    wrong: list[str] = []
    cases = [case for door in doors(scene, group) for case in cases_of(door)]
    rows.changed()  # those that made the scene
    try:
        for case in sampled(cases, SHARE, SEED) if SHARE < 1 else cases:
            heard = wire.exchange(sent(case, scene, host=wire.name), case.method, alone=case.raw is not None)
            changed = rows.changed()
            counted[f"{case.place} {heard.status // 100}xx"] += 1
            wrong += [f"{case.door.name}, {case.place}, {case.label}: {one}" for one in faults(case, heard, changed)]
            if changed:
                scene.after_a_change(case)
                rows.changed()
    finally:
        wire.close()
        contract_counts.add("corpus", counted)
        if wrong:
            pytest.fail(f"{len(wrong)} of {counted.total()}:\n" + "\n".join(wrong[:300]), pytrace=False)


def test_no_evil_input_was_an_error_of_ours(servers: Servers) -> None:
    """The logs tell every 500, also of requests whose answer nobody read."""
    lines = [line for log in servers.logs for line in log.read_text("utf-8", "replace").splitlines()]
    assert [line for line in lines if re.search(r'"status": ?50|unhandled error|Traceback', line)] == []


def sent(case: Case, scene: Scene, *, host: str) -> bytes:
    """The request as bytes."""
    address = scene.address(case)
    if case.raw is not None:
        method = case.method.encode()
        return case.raw.replace(b"METHOD", method).replace(b"ADDRESS", address.encode()).replace(b"HOST", host.encode())
    headers = list(case.headers)
    if case.token:
        headers.append(("Authorization", f"Bearer {scene.token(case)}"))
    if case.door.path.startswith("/admin/") and not any(name == "Cookie" for name, _ in headers):
        headers.append(("Cookie", scene.session))
    target = address if case.query is None else f"{address}?{case.query}"
    return request_bytes(case.method, target, headers, case.body, host=host)


def faults(case: Case, heard: Heard, changed: set[str]) -> list[str]:
    """What is wrong with an answer, and with what the request did."""
    found = []
    refused = heard.status >= 400 or heard.status == 0
    bare = refused and not heard.body and heard.status in BARE and case.place in MAYBE_NO_HTTP
    if heard.status >= 500 and not bare:
        found.append(f"answered {heard.status}: {heard.body[:200]!r}")
    if heard.status == 0 and not bare:
        found.append(f"the server hung up, or gave no answer {heard.body!r}")
    code = heard.problem.get("code")
    if case.expected and not {heard.status, (heard.status, code)} & case.expected:
        found.append(f"answered {heard.status} {code}, not {set(case.expected)}")
    if case.door.operation is not None and not bare:
        found += _told_badly(case, heard)
    kept = (
        {KEPT_ANSWERS} if heard.status == 409 and any(name == "Idempotency-Key" for name, _ in case.headers) else set()
    )
    kept = kept | WRITTEN_BY_READS.get(case.door.path, set())
    if (refused or case.method in ("GET", "HEAD", "OPTIONS")) and changed - kept:
        found.append(f"answered {heard.status} and changed {sorted(changed)}")
    return found


def _told_badly(case: Case, heard: Heard) -> list[str]:
    """What an answer of a door lacks."""
    found = []
    if heard.status >= 400 and case.method != "HEAD" and not case.door.path.startswith("/oauth/"):
        problem = heard.problem
        if not {"type", "title", "status", "code", "detail", "request_id"} <= problem.keys():
            found.append(f"answered {heard.status} without a whole problem: {heard.headers} {heard.body[:100]!r}")
        elif problem["request_id"] != heard.headers.get("x-request-id") or problem["status"] != heard.status:
            found.append("the problem is not that of its answer")
    if "x-request-id" not in heard.headers:
        found.append(f"answered {heard.status} without X-Request-ID")
    known = case.door.statuses | ({405} if case.method != case.door.method else set())
    known |= {400} if any(name == "Host" for name, _ in case.headers) else set()  # of every address alike
    if case.place in ("query", "header", "body") and heard.status not in known:
        found.append(f"answered {heard.status}, which the contract does not tell")
    return found
