"""What is measured about dead tokens: the doors of the living in five states of the tables, and the purge itself."""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from bench.serving import environment, migrate, served
from souk.accounts.operations import create_user, purge_dead_tokens
from souk.reactions.clock import PURGED_AT_ONCE

USERNAME, PASSWORD = "signs-in", "correct horse battery"
FORM = "application/x-www-form-urlencoded"
CHECKS_PER_SIGN_IN = 5
# Sessions of a thousand users that ended a month or more ago, so that all of it is for the purge. Checksums begin with
# their number: random ones would make the writing of a million several times as long, and nothing else.
SEED = """
WITH people AS (
    INSERT INTO accounts_user (id, created, updated, last_sequence, password, username, display_name, bio, email,
                               email_verified, is_staff, is_active)
    SELECT uuidv7(), now(), now(), 0, '!', 'left-' || n, '', '', '', false, false, true
      FROM generate_series(0, 999) AS n RETURNING id, substr(username, 6)::integer AS place
), access AS (
    INSERT INTO oauth2_provider_accesstoken
           (token, token_checksum, expires, scope, resource, application_id, user_id, created, updated)
    SELECT '', lpad(to_hex(n), 32, '0') || md5(n::text), at, 'souk', '[]', a.id, people.id, at, at
      FROM generate_series(1, %(pairs)s) AS n
      JOIN people ON people.place = n %% 1000
      JOIN oauth2_provider_application a ON a.client_id = 'souk-web'
     CROSS JOIN LATERAL (SELECT now() - interval '31 days' - n * interval '2 seconds' AS at) AS ended
    RETURNING id, token_checksum, application_id, user_id, created
)
INSERT INTO oauth2_provider_refreshtoken
       (token, token_checksum, access_token_id, application_id, user_id, token_family, resource, created, updated)
SELECT '', token_checksum, id, application_id, user_id, uuidv7(), '[]',
       created, created
  FROM access
"""
API_BACK_ENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%api'"


class Doors:
    """A client with one kept-alive connection, that knows its tokens."""

    def __init__(self, port: int) -> None:
        self.line = HTTPConnection("127.0.0.1", port, timeout=30)
        self.tokens: dict[str, str] = {}

    def sign_in(self) -> None:
        """One hash and the writing of a pair."""
        self._take(grant_type="password", username=USERNAME, password=PASSWORD)

    def refresh(self) -> None:
        """A new pair for the last one."""
        self._take(grant_type="refresh_token", refresh_token=self.tokens["refresh_token"])

    def check(self) -> None:
        """A read by who holds the token."""
        self._ask("GET", "/api/v1/me", headers={"Authorization": f"Bearer {self.tokens['access_token']}"})

    def _take(self, **form: str) -> None:
        body = urlencode({**form, "client_id": "souk-web"})
        self.tokens = json.loads(self._ask("POST", "/oauth/token", body=body, headers={"Content-Type": FORM}))

    def _ask(self, method: str, path: str, **more: Any) -> bytes:
        self.line.request(method, path, **more)
        answer = self.line.getresponse()
        raw = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {raw[:200]!r}")
        return raw


def measured(url: str, folder: Path, *, pairs: int, sign_ins: int) -> dict[str, Any]:
    """Milliseconds of the clock and of the processors for each request, in each state; and the purge.

    `just_purged` is before PostgreSQL has cleaned up behind the deletions, `vacuumed` after.
    """
    env = environment(url, folder / "home")
    migrate(env)
    create_user(username=USERNAME, password=PASSWORD)
    found: dict[str, Any] = {"pairs": pairs, "sign_ins": sign_ins}
    with served(env, workers=1) as port, psycopg.connect(url, autocommit=True) as line:

        def state() -> dict[str, Any]:
            return every_door(Doors(port), port, url, sign_ins)

        def note(what: str, told: dict[str, Any]) -> None:
            found[what] = told
            sys.stderr.write(f"{what}: {json.dumps(told)}\n")

        state()  # connections, caches and prepared statements are there before anything counts
        note("none_dead", state())
        line.execute(SEED, {"pairs": pairs})
        line.execute("VACUUM (ANALYZE) oauth2_provider_accesstoken, oauth2_provider_refreshtoken, accounts_user")
        note("all_dead", state())
        note("statements_of_the_doors", plans())
        note("purge", purged_beside_sign_ins(Doors(port)))
        note("just_purged", state())
        line.execute("VACUUM (ANALYZE) oauth2_provider_accesstoken, oauth2_provider_refreshtoken")
        note("vacuumed", state())
    connection.close()
    return found


def every_door(doors: Doors, port: int, url: str, sign_ins: int) -> dict[str, Any]:
    """Sign-in, refresh and bearer check, one after the other."""
    return {
        "sign_in": spent(doors.sign_in, sign_ins, port, url),
        "refresh": spent(doors.refresh, sign_ins, port, url),
        "check": spent(doors.check, CHECKS_PER_SIGN_IN * sign_ins, port, url),
    }


def spent(work: Callable[[], None], times: int, port: int, url: str) -> dict[str, float]:
    """p50 and p99 of the clock, and the processor time of API and database for each time."""
    with psycopg.connect(url) as line:
        back_ends = {pid for (pid,) in line.execute(API_BACK_ENDS)}
    server = set(processes_with(f"--port\0{port}\0".encode()))
    before = [sum(map(cpu_seconds, some)) for some in (server, back_ends)]
    clock = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        clock.append(1000 * (time.perf_counter() - began))
    api, base = (sum(map(cpu_seconds, some)) - was for some, was in zip((server, back_ends), before, strict=True))
    return {**quantiles(clock), "api_cpu_ms": round(1000 * api / times, 2), "db_cpu_ms": round(1000 * base / times, 2)}


def purged_beside_sign_ins(doors: Doors) -> dict[str, Any]:
    """Purge as the clock does, while somebody signs in again and again."""
    steps: list[tuple[int, float]] = []

    def purge() -> None:
        while not steps or steps[-1][0] >= PURGED_AT_ONCE:
            began = time.perf_counter()
            steps.append((purge_dead_tokens(limit=PURGED_AT_ONCE), time.perf_counter() - began))
        connection.close()

    clock = []
    with ThreadPoolExecutor(1) as threads:
        purging = threads.submit(purge)
        while not purging.done():
            began = time.perf_counter()
            doors.sign_in()
            clock.append(1000 * (time.perf_counter() - began))
        purging.result()
    rows, seconds = sum(gone for gone, _ in steps), sum(took for _, took in steps)
    return {
        "rows": rows,
        "seconds": round(seconds, 1),
        "rows_per_second": round(rows / seconds),
        "step_ms": quantiles([1000 * took for _, took in steps]),
        "sign_ins_beside": {"times": len(clock), "longest": round(max(clock), 1), **quantiles(clock)},
    }


def plans() -> dict[str, Any]:
    """How PostgreSQL finds its rows for every statement on tokens of a sign-in, a refresh and a bearer check."""
    client = Client(headers={"host": "localhost"})
    with override_settings(RATE_LIMITS=False), CaptureQueriesContext(connection) as seen:
        form = {"grant_type": "password", "username": USERNAME, "password": PASSWORD, "client_id": "souk-web"}
        tokens = client.post("/oauth/token", urlencode(form), content_type=FORM).json()
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "souk-web"}
        tokens = client.post("/oauth/token", urlencode(form), content_type=FORM).json()
        client.get("/api/v1/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    statements = {one["sql"] for one in seen.captured_queries if re.search(r"oauth2_provider_\w+token", one["sql"])}
    found: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        for statement in sorted(statements):
            cursor.execute("EXPLAIN (COSTS OFF) " + statement.replace("%", "%%"))
            told = "\n".join(line for (line,) in cursor.fetchall())
            verb, table = re.findall(r"^\s*(\w+)", statement)[0], re.findall(r"oauth2_provider_\w+token", statement)[0]
            scans = re.findall(r"(?:Index(?: Only)? Scan using \w+|(?:Seq|Bitmap Heap) Scan) on \w+", told)
            found.setdefault(f"{verb} {table}", []).extend(scans)
    return {name: sorted(set(scans)) for name, scans in found.items()}


def processes_with(command: bytes) -> Iterator[int]:
    """The processes with this in their command line."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if command in (process / "cmdline").read_bytes():
                yield int(process.name)
        except OSError:
            continue


def cpu_seconds(pid: int) -> float:
    """What a process has used of the processors so far; 0 for one that has ended."""
    try:
        used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


def quantiles(values: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    cuts = statistics.quantiles(values, n=100) if len(values) > 1 else values * 99
    return {"p50_ms": round(cuts[49], 2), "p99_ms": round(cuts[98], 2)}
