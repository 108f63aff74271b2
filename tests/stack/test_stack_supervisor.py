"""The supervisor with small processes of the tests: order, restarts, failures, and what a killed one leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from souk.stack.child import stop_orphans
from souk.stack.home import VERSION, Home, RunsAlready
from souk.stack.identity import Identity
from souk.stack.service import StackError
from tests.stack.private import wait_for

# A supervisor of two services; each writes a line when it starts and when it is asked to stop.
PROGRAM = """
import sys
from pathlib import Path
from souk.stack.home import Home
from souk.stack.output import Output
from souk.stack.process import Supervisor
from souk.stack.service import Service, Stage, StackError, Task

home = Home(Path(sys.argv[1]))
home.make()
body = '''
import signal, sys, time
from pathlib import Path
diary = Path(sys.argv[2])
def note(text):
    with diary.open("a") as file:
        file.write(text + chr(10))
def end(number, frame):
    note("stop " + sys.argv[1])
    raise SystemExit(0)
signal.signal(signal.SIGTERM, end)
note("start " + sys.argv[1])
print("hello from", sys.argv[1], flush=True)
(diary.parent / ("up-" + sys.argv[1])).touch()
time.sleep(600)
'''
def service(name):
    return Service(name=name, argv=(sys.executable, "-c", body, name, str(home.path / "diary")), env={}, cwd=home.path,
                   ready=(home.path / ("up-" + name)).exists, grace=5)
bad = Task(name="bad", argv=(sys.executable, "-c", "print('the reason'); raise SystemExit(3)"), env={}, cwd=home.path)
stages = [Stage(services=(service("first"),)), Stage(services=(service("second"),))]
if "bad" in sys.argv:
    stages.insert(1, Stage(tasks=(bad,)))
try:
    with home.locked():
        Supervisor(home=home, stages=stages, url="http://nowhere", output=Output(home.log),
                   open_for_business=lambda: None, announce=lambda text: None,
                   when_ready=(home.path / "ready").touch).run()
except StackError as error:
    print(error)
    raise SystemExit(1)
"""


def start(home: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A running supervisor, ready."""
    with start(tmp_path) as process:
        wait_for((tmp_path / "ready").exists, what="the supervisor is ready")
        yield process
        process.kill()
    stop_orphans(Home(tmp_path), say=lambda text: None, grace=2)


def pid_of(home: Path, name: str) -> int:
    services = json.loads((home / "run" / "state.json").read_text())["services"]
    return int(next(service["pid"] or 0 for service in services if service["name"] == name))


def test_starts_in_order_and_stops_in_reverse(tmp_path: Path, supervisor: subprocess.Popen[str]) -> None:
    supervisor.send_signal(signal.SIGTERM)
    said, _ = supervisor.communicate(timeout=20)
    assert supervisor.returncode == 0
    assert (tmp_path / "diary").read_text().split("\n") == [
        "start first",
        "start second",
        "stop second",
        "stop first",
        "",
    ]
    assert "first    | hello from first" in said
    assert not (tmp_path / "run" / "state.json").exists()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["lock", "metrics"]
    assert not list((tmp_path / "run" / "metrics").iterdir())


def test_a_service_that_is_killed_starts_again_and_the_supervisor_says_so(
    tmp_path: Path, supervisor: subprocess.Popen[str]
) -> None:
    before = pid_of(tmp_path, "first")
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: pid_of(tmp_path, "first") not in (0, before), what="a new process")
    assert (
        "first was killed by SIGKILL; starting it again in 0.5 s (restart 1)" in (tmp_path / "log/souk.log").read_text()
    )


def test_a_task_that_fails_ends_the_start_with_its_own_words_and_stops_what_ran(tmp_path: Path) -> None:
    with start(tmp_path, "bad") as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "`bad` ended with exit code 3." in said
    assert "  the reason" in said
    assert (tmp_path / "diary").read_text() == "start first\nstop first\n"


def test_nothing_outlives_a_supervisor_that_was_killed(tmp_path: Path, supervisor: subprocess.Popen[str]) -> None:
    left = [Identity.load(tmp_path / "run" / f"{name}.pid") for name in ("first", "second")]
    supervisor.kill()
    supervisor.wait(10)
    wait_for(lambda: not any(identity and identity.alive() for identity in left), what="both services ended")
    assert None not in left
    assert not Home(tmp_path).is_locked()


def test_a_second_supervisor_of_one_home_is_refused(tmp_path: Path, supervisor: subprocess.Popen[str]) -> None:
    with (
        pytest.raises(RunsAlready, match=f"Souk runs already on {tmp_path} \\(pid {supervisor.pid}\\)"),
        Home(tmp_path).locked(),
    ):
        pytest.fail("took a lock that is held")


def test_an_orphan_is_stopped_and_its_pid_file_removed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    environ = {**os.environ, "SOUK_STACK_HOME": str(tmp_path)}
    with subprocess.Popen(["sleep", "600"], env=environ, start_new_session=True) as orphan:
        identity = Identity.of(orphan.pid)
        assert identity is not None
        identity.save(home.pid_file("worker"))
        said: list[str] = []
        stop_orphans(home, say=said.append)
        assert orphan.wait(5) == -signal.SIGTERM
    assert said == [f"worker (pid {orphan.pid}) is left from a stack that was killed: stopping it"]
    assert not home.pid_file("worker").exists()


def test_a_foreign_process_under_an_old_number_is_left_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as foreign:
        identity = Identity.of(foreign.pid)
        assert identity is not None
        older = Identity(identity.pid, identity.start - 1, identity.boot)
        older.save(home.pid_file("worker"))
        stop_orphans(home, say=lambda text: None)
        assert foreign.poll() is None
        foreign.kill()
    assert not home.pid_file("worker").exists()


def test_a_home_of_a_newer_souk_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "version").write_text(f"{VERSION + 1}\n")
    with pytest.raises(
        StackError, match=f"written by a newer Souk \\(format {VERSION + 1}, this one reads {VERSION}\\)"
    ):
        Home(tmp_path).make()
    assert [path.name for path in tmp_path.iterdir()] == ["version"]


def test_lost_passwords_beside_a_database_are_said_and_not_made_anew(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(StackError, match=r"secrets\.json is missing"):
        home.secrets()
    assert not (tmp_path / "secrets.json").exists()


def test_passwords_are_made_once_and_readable_by_nobody_else(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    first = home.secrets()
    assert home.secrets() == first
    assert len(set(first.values())) == 6
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_ports_are_kept_while_they_are_free(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    first = home.ports("postgres", "streams", "cache")
    assert home.ports("postgres", "streams", "cache") == first
    assert len(set(first.values())) == 3
