"""What the measurements start and stop: a database of their own, the API under granian, wrk and pgbench."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg

from bench.wrk import ANOTHER, REPORT, play
from souk.stack.postgres import binaries

PORT = 18765


@dataclass(frozen=True)
class Load:
    """What came of one load: requests per second, and milliseconds."""

    per_second: float
    p50: float
    p99: float


@contextmanager
def database(server: str, name: str, *, keep: bool) -> Iterator[tuple[str, bool]]:
    """The address of a migrated database of this name, and whether it was new."""
    url = re.sub(r"/[^/]*$", f"/{name}", server)
    with psycopg.connect(server, autocommit=True) as connection:
        new = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None
        if new:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
    subprocess.run([sys.executable, "-m", "souk", "django", "migrate", "-v", "0"], env=environment(url), check=True)
    yield url, new
    if not keep:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def environment(url: str) -> dict[str, str]:
    """What the processes of Souk are told. Limits are off: one address asks for everything."""
    return {
        **os.environ,
        "SOUK_DATABASE_URL": url,
        "SOUK_RATE_LIMITS": "off",
        "SOUK_SECRET_KEY": "bench",
        "SOUK_HOME": tempfile.gettempdir() + "/souk-bench",
    }


@contextmanager
def serving(url: str) -> Iterator[str]:
    """The API with two processes; gives its address."""
    command = [sys.executable, "-m", "souk", "api", "--port", str(PORT), "--workers", "2"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment(url), stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{PORT}"
            wait_until_it_answers(f"{address}/health/live")
            yield address
        finally:
            process.terminate()
            process.wait(30)


def wait_until_it_answers(address: str) -> None:
    """Wait at most a minute."""
    for _ in range(240):
        try:
            urllib.request.urlopen(address, timeout=2).close()  # noqa: S310  # our own loopback address
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
        else:
            return
    raise SystemExit(f"{address} does not answer")


def cpu_seconds(url: str) -> tuple[float, float]:
    """What the API's processes and the database's back ends have used of the processors so far."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        backends = {str(pid) for (pid,) in found}
    api = database_side = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            used = (process / "stat").read_text().rpartition(")")[2].split()
            ours = b"souk.wsgi:application" in (process / "cmdline").read_bytes()
            port = str(PORT).encode() in (process / "cmdline").read_bytes()
        except OSError:
            continue
        seconds = (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
        api += seconds if ours and port else 0
        database_side += seconds if process.name in backends else 0
    return api, database_side


def post(address: str, body: dict[str, str], *, form: bool = False) -> Any:
    """POST JSON or a form; the decoded answer."""
    raw = urlencode(body).encode() if form else json.dumps(body).encode()
    media = "application/x-www-form-urlencoded" if form else "application/json"
    asked = urllib.request.Request(address, raw, {"Content-Type": media})  # noqa: S310  # our own loopback address
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310  # our own loopback address
        return json.load(answer)


def wrk(address: str, *, seconds: int, connections: int = 8, token: str | None = None) -> Load:
    """GET one address as fast as it goes; with `*` in it another one each time, a number above a thousand million for
    the star. Raises SystemExit when any answer was an error.
    """
    heard = play(address, seconds=seconds, script=REPORT + ANOTHER, clients=connections, token=token)
    if heard.errors:
        raise SystemExit(f"{address}: {heard}")
    return Load(round(heard.answers / heard.seconds, 1), heard.p50_ms, heard.p99_ms)


def pgbench(url: str, statement: str, *, seconds: int, clients: int = 8) -> float:
    """How often per second PostgreSQL answers one prepared statement: the ceiling of the door that asks it."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(" ".join(statement.split()) + ";\n")
        script.flush()
        command = [str(binaries() / "pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", "1"]
        command += ["-T", str(seconds), "-f", script.name, url]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"tps = ([\d.]+)", told)
    if found is None:
        raise SystemExit(told)
    return round(float(found[1]), 1)
