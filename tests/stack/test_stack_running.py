"""The whole stack through its commands: starting, being killed in every part, stopping."""

from __future__ import annotations

import json
import os
import signal
import stat
import urllib.request
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from souk.stack.postgres import running_postgres
from tests.stack.private import SoukStack, wait_for

SERVICES = ["postgres", "streams", "cache", "capture", "clock", "worker", "live", "api"]


def health(stack: SoukStack) -> dict[str, Any]:
    with urllib.request.urlopen(f"{stack.base_url}/health/ready", timeout=5) as answer:  # noqa: S310 - our own address
        found = json.loads(answer.read())
    assert isinstance(found, dict)
    return found


def append_event(stack: SoukStack) -> str:
    """Commit one event of a kind that nobody listens to; its id."""
    with psycopg.connect(stack.environment["SOUK_DATABASE_URL"]) as at:
        row = at.execute(
            "INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)"
            " VALUES ('probe.sent', 'probe', uuidv7(), 1, %s, 'system', '{}') RETURNING id",
            [json.dumps({"text": "ä"})],
        ).fetchone()
    assert row is not None
    return str(row[0])


def streamed(stack: SoukStack, event: str) -> dict[str, Any] | None:
    """The event as its stream holds it."""
    with redis.Redis.from_url(stack.environment["SOUK_REDIS_URL"]) as client:
        for _, fields in client.xrange("souk.events.probe"):
            value = json.loads(fields[b"value"])
            if value["id"] == event:
                return dict(value)
    return None


def wait_streamed(stack: SoukStack, event: str) -> None:
    wait_for(lambda: streamed(stack, event) is not None, what="the event is in its stream")


def test_up_starts_every_part_and_is_ready(souk_stack: SoukStack) -> None:
    found = souk_stack.status()
    assert found["status"] == "ready"
    assert [process["name"] for process in found["processes"]] == [*SERVICES, "supervisor"]
    assert {process["state"] for process in found["processes"]} == {"ready"}
    assert {check["state"] for check in found["checks"].values()} == {"ok"}
    assert found["checks"].keys() == health(souk_stack)["checks"].keys()
    assert found["url"] == souk_stack.base_url


def test_the_whole_takes_less_than_a_gibibyte_at_rest(own_stack: SoukStack) -> None:
    own_stack.up()
    found = own_stack.status()
    assert found["rss_bytes"] == sum(process["rss_bytes"] for process in found["processes"])
    # What is ready has still something to put down: on a busy machine it is not at rest yet.
    wait_for(lambda: own_stack.status()["rss_bytes"] < 1 << 30, what="all processes are at rest", seconds=180)


def test_a_committed_event_reaches_its_stream_with_the_fields_of_the_log(souk_stack: SoukStack) -> None:
    event = append_event(souk_stack)
    wait_streamed(souk_stack, event)
    value = streamed(souk_stack, event)
    assert value is not None
    assert set(value) == {
        "payload", "id", "type", "subject_type", "subject_id", "sequence", "created", "actor", "traceparent"
    }  # fmt: skip
    assert (value["type"], value["sequence"], json.loads(value["payload"])) == ("probe.sent", 1, {"text": "ä"})


@pytest.mark.parametrize("name", SERVICES)
def test_a_part_that_is_killed_comes_back_and_events_flow_again(souk_stack: SoukStack, name: str) -> None:
    before = souk_stack.service(name)["restarts"]
    pid = souk_stack.kill(name)
    souk_stack.wait_restarted(name, than=pid)
    assert souk_stack.service(name)["restarts"] == before + 1
    wait_for(lambda: souk_stack.status()["status"] == "ready", what=f"ready after {name} was killed")
    event = append_event(souk_stack)
    wait_streamed(souk_stack, event)


def test_events_committed_while_capture_is_dead_reach_the_stream_later(souk_stack: SoukStack) -> None:
    pid = souk_stack.kill("capture")
    events = [append_event(souk_stack) for _ in range(5)]
    souk_stack.wait_restarted("capture", than=pid)
    for event in events:
        wait_streamed(souk_stack, event)


def test_a_second_up_on_the_same_home_says_that_it_runs_already(souk_stack: SoukStack) -> None:
    for options in ((), ("--detach",)):
        done = souk_stack.souk("up", *options)
        assert done.returncode == 1
        assert done.stderr.startswith(f"Souk runs already on {souk_stack.home} (pid {souk_stack.state()['pid']})")
    assert souk_stack.status()["status"] == "ready"


def test_a_taken_port_is_named_before_anything_starts(souk_stack: SoukStack, own_stack: SoukStack) -> None:
    port = souk_stack.base_url.rpartition(":")[2]
    done = own_stack.souk("up", "--detach", "--port", port)
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken by another program." in done.stderr
    assert not (own_stack.home / "postgres").exists()


def test_a_database_that_does_not_answer_ends_the_start_with_the_reason_and_stops_the_rest(
    own_stack: SoukStack,
) -> None:
    own_stack.extra = {"SOUK_DATABASE_URL": "postgresql://souk@127.0.0.1:1/souk"}
    done = own_stack.souk("up", "--detach", "--port", "0")
    assert done.returncode == 1
    assert "`migrate` ended with exit code 1." in done.stderr
    assert "  The database does not answer: " in done.stderr
    assert own_stack.processes() == []


def test_the_database_keeps_its_roles_apart(souk_stack: SoukStack) -> None:
    environment = souk_stack.environment
    capture = environment["SOUK_DATABASE_URL"].replace(
        environment["SOUK_DATABASE_URL"].split("//")[1].split("@")[0],
        f"souk_cdc:{environment['DEBEZIUM_SOURCE_DATABASE_PASSWORD']}",
    )
    with psycopg.connect(environment["SOUK_DATABASE_URL"]) as at:
        row = at.execute("SELECT rolsuper, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = user").fetchone()
        assert row == (False, True, False)
        assert at.execute("SELECT current_setting('data_checksums'), current_setting('fsync')").fetchone() == (
            "on",
            "on",
        )
    with psycopg.connect(capture) as at:
        assert at.execute("SELECT count(*) >= 0 FROM eventlog_event").fetchone() == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            at.execute("SELECT password FROM accounts_user")


def test_what_holds_passwords_is_readable_by_nobody_else(souk_stack: SoukStack) -> None:
    for name in ("run/environment", "secrets.json", "valkey/streams/valkey.conf"):
        assert stat.S_IMODE((souk_stack.home / name).stat().st_mode) == 0o600
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:
            continue
        assert souk_stack.environment["DEBEZIUM_SINK_REDIS_PASSWORD"].encode() not in command


def test_ensure_repeats_without_harm_and_raises_an_alarm_for_a_lost_slot(own_stack: SoukStack) -> None:
    own_stack.up()
    again = own_stack.souk("cdc", "ensure")
    assert (again.returncode, again.stdout, again.stderr) == (0, "Replication slot souk is there.\n", "")
    wait_offset_stored(own_stack)
    drop_slot(own_stack)
    # Capture, started again by the supervisor, makes the slot itself where it comes first.
    made = own_stack.souk("cdc", "ensure")
    assert made.returncode == 0
    alarms = made.stderr + (own_stack.home / "log" / "capture.log").read_text()
    assert "ALARM: The replication slot souk " in alarms
    event = append_event(own_stack)
    wait_streamed(own_stack, event)


def test_a_slot_that_is_gone_while_the_stack_runs_is_made_again_with_an_alarm(souk_stack: SoukStack) -> None:
    # Who comes first makes the new one: our next start, or Debezium itself, whose offset is then behind.
    said = "ALARM: The replication slot souk "
    log = souk_stack.home / "log" / "capture.log"
    wait_offset_stored(souk_stack)
    before = log.read_text().count(said)
    drop_slot(souk_stack)
    wait_for(lambda: log.read_text().count(said) > before, what="an alarm is raised", seconds=120)
    wait_for(lambda: souk_stack.status()["status"] == "ready", what="ready after the slot was dropped")
    wait_streamed(souk_stack, append_event(souk_stack))


def wait_offset_stored(stack: SoukStack) -> None:
    """Wait until capture has noted how far it is."""
    wait_streamed(stack, append_event(stack))
    with psycopg.connect(stack.environment["SOUK_DATABASE_URL"], autocommit=True) as at:
        wait_for(lambda: at.execute("SELECT 1 FROM debezium_offset").fetchone() is not None, what="an offset is stored")


def drop_slot(stack: SoukStack) -> None:
    """Drop the slot as the superuser of this private cluster, against a reader that comes back."""
    secrets = json.loads((stack.home / "secrets.json").read_text())
    owner = stack.environment["SOUK_DATABASE_URL"]
    address = owner.replace(f"souk:{secrets['souk']}", f"postgres:{secrets['postgres']}")

    def dropped() -> bool:
        with psycopg.connect(address, autocommit=True) as at:
            at.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL")
            try:
                at.execute("SELECT pg_drop_replication_slot('souk')")
            except psycopg.errors.ObjectInUse:
                return False
            return True

    wait_for(dropped, what="the slot is dropped")


def test_after_the_supervisor_is_killed_nothing_runs_and_the_next_up_works(own_stack: SoukStack) -> None:
    own_stack.up()
    event = append_event(own_stack)
    wait_streamed(own_stack, event)
    os.kill(own_stack.state()["pid"], signal.SIGKILL)
    wait_for(lambda: own_stack.processes() == [], what="every process of the stack ended")
    assert own_stack.status()["status"] == "stopped"
    own_stack.up()
    assert own_stack.status()["status"] == "ready"
    assert streamed(own_stack, event) is not None


def test_down_leaves_nothing_and_can_be_repeated(own_stack: SoukStack) -> None:
    own_stack.up()
    stopped = own_stack.souk("down")
    assert (stopped.returncode, stopped.stdout) == (0, "Souk is stopped.\n")
    assert own_stack.processes() == []
    assert [path.name for path in (own_stack.home / "run").glob("**/*") if path.is_file()] == ["lock"]
    again = own_stack.souk("down")
    assert (again.returncode, again.stdout) == (0, f"Nothing runs on {own_stack.home}.\n")
    shown = own_stack.souk("status")
    assert shown.returncode == 1
    assert shown.stdout.startswith("Souk is stopped")


def test_reset_asks_first_and_then_leaves_an_empty_home(own_stack: SoukStack) -> None:
    own_stack.up()
    (own_stack.home / "mine.txt").write_text("not Souk's")
    refused = own_stack.souk("reset")
    assert refused.returncode == 1
    assert own_stack.status()["status"] == "ready"
    done = own_stack.souk("reset", "--yes")
    assert done.returncode == 0, done.stderr
    assert own_stack.processes() == []
    assert sorted(path.name for path in own_stack.home.iterdir()) == ["mine.txt", "run"]


def test_reset_of_an_external_database_is_refused(own_stack: SoukStack) -> None:
    own_stack.home.mkdir(exist_ok=True)
    own_stack.extra = {"SOUK_DATABASE_URL": "postgresql://somebody@db.example/else"}
    done = own_stack.souk("reset", "--yes")
    assert done.returncode == 1
    assert "is not Souk's to remove" in done.stderr


def test_up_with_servers_of_the_operator_starts_only_what_is_missing(
    souk_stack: SoukStack, own_stack: SoukStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    theirs = tmp_path_factory.mktemp("theirs")
    with running_postgres(theirs) as url:
        given = souk_stack.environment
        own_stack.extra = {
            "SOUK_DATABASE_URL": url,
            "SOUK_REDIS_URL": given["SOUK_REDIS_URL"],
            "SOUK_CACHE_URL": given["SOUK_CACHE_URL"],
            "DEBEZIUM_SOURCE_DATABASE_USER": "souk_cdc",
            "DEBEZIUM_SOURCE_DATABASE_PASSWORD": json.loads((theirs / "secrets.json").read_text())["souk_cdc"],
        }
        own_stack.up()
        names = [process["name"] for process in own_stack.status()["processes"]]
        assert names == [*SERVICES[3:], "supervisor"]
        assert not {"postgres", "valkey"} & {path.name for path in own_stack.home.iterdir()}
        event = append_event(own_stack)
        wait_streamed(souk_stack, event)
        own_stack.down()


def test_logs_show_what_one_process_said(souk_stack: SoukStack) -> None:
    shown = souk_stack.souk("logs", "postgres", "-n", "1000")
    assert shown.returncode == 0
    assert "database system is ready to accept connections" in shown.stdout
    unknown = souk_stack.souk("logs", "nobody")
    assert unknown.returncode == 1
    assert unknown.stderr.startswith(f"There is no log of nobody under {souk_stack.home / 'log'}.")
