"""What processes in containers need: secrets by file, counters that share a folder, a sign of life without a port."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from django.conf import LazySettings
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from souk.reactions.loop import run_threads
from souk.settings import CHECKOUT

# As on two hosts, where the first process in each container has the same number.
ON_A_HOST = """
import os, socket, sys
socket.gethostname, os.getpid = lambda: sys.argv[1], lambda: 7
from souk.kit.counting import Counter
Counter("tried", "Tries.").inc(int(sys.argv[2]))
"""


def answer(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SOUK_", "PROMETHEUS_"))}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**kept, **environment}, cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_setting_can_stand_in_a_file_that_its_name_tells(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("walnut-and-oak-and-something-long-enough-for-a-key\n")
    home = {"SOUK_HOME": str(tmp_path / "home")}
    told = answer(
        "from souk import settings; print(repr(settings.SECRET_KEY))", SOUK_SECRET_KEY_FILE=str(secret), **home
    )
    assert told.stdout.strip() == repr(secret.read_text().strip()), told.stderr


def test_a_file_of_a_setting_that_is_not_there_stops_the_start_and_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing")
    told = answer("import souk.settings", SOUK_SECRET_KEY_FILE=missing, SOUK_HOME=str(tmp_path))
    assert told.returncode != 0
    assert missing in told.stderr


def test_processes_of_two_hosts_with_the_same_number_are_counted_both(tmp_path: Path) -> None:
    for host, times in (("api-1", 2), ("api-2", 3), ("api-1", 4)):
        done = answer(ON_A_HOST, host, str(times), PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
        assert done.returncode == 0, done.stderr
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path))  # type: ignore[no-untyped-call]  # it has no types
    assert registry.get_sample_value("tried_total") == 9


def test_a_process_without_a_port_shows_that_it_lives_by_a_file(tmp_path: Path, settings: LazySettings) -> None:
    alive, stop = tmp_path / "alive", threading.Event()
    alive.touch()
    os.utime(alive, ns=(0, 0))
    settings.ALIVE_FILE = str(alive)
    threading.Timer(1.5, stop.set).start()
    run_threads({"rest": lambda: 0.05}, stop=stop)
    assert alive.stat().st_mtime_ns > 0
