"""How the event path stands, in the metrics, in the health and at the terminal: the same for every process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from django.conf import settings
from django.db import connection
from typer.testing import CliRunner

from souk import settings as own_settings
from souk.commands.events import app
from souk.eventlog.models import Event
from souk.reactions.consumers import CONSUMERS
from souk.reactions.models import Progress
from souk.reactions.orders import ORDERS
from souk.reactions.parking import park_entry
from souk.reactions.progress import note_progress
from souk.reactions.reconciler import reconcile
from souk.reactions.stream import Group
from souk.web.event_path import event_path
from souk.web.health import health
from tests.callers import Api, SignedIn
from tests.streams import put_into_streams, running_valkey

AT_ONCE = timedelta(seconds=-1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[redis.Redis, str]]:
    with running_valkey(tmp_path_factory.mktemp("valkey")) as client:
        at = client.connection_pool.connection_kwargs
        yield client, f"redis://{at['host']}:{at['port']}/0"


@pytest.fixture
def streams(server: tuple[redis.Redis, str], monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    client, url = server
    client.flushall()
    monkeypatch.setattr(settings, "REDIS_URL", url)
    monkeypatch.setattr(settings, "CACHE_URL", url)
    return client


def metric(name: str) -> float:
    lines = Api().send("GET", "//metrics").body.splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name} ")]
    return float(line.split()[-1])


def confirmed_order(seller: SignedIn, buyer: SignedIn) -> None:
    order = buyer.order((seller.offer("Mug", stock=5), 1)).body["id"]
    paid = {"payment": {"method": "card", "token": "tok_ok"}}
    assert buyer.post(f"/orders/{order}/confirm", paid).status == 200


def waiting_since(seconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE eventlog_event SET created = created - make_interval(secs => %s)", [seconds])


def test_the_age_of_the_oldest_event_that_was_not_heard_is_shown_for_each_consumer(
    seller: SignedIn, buyer: SignedIn
) -> None:
    note_progress(CONSUMERS)
    confirmed_order(seller, buyer)
    waiting_since(100)
    payments, orders = (f'souk_events_oldest_unprocessed_seconds{{consumer="{one.name}"}}' for one in CONSUMERS)
    assert 100 < metric(payments) < 160
    assert metric(orders) == 0
    checks = health().checks
    assert (checks["events"].state, checks["clock"].state) == ("failing", "ok")
    reconcile(CONSUMERS, age=AT_ONCE)
    waiting_since(0)
    assert (metric(payments), metric(orders)) == (0, 0)
    assert health().checks["events"].state == "ok"


def test_what_only_the_reconciler_found_is_counted_for_every_process_to_show(seller: SignedIn, buyer: SignedIn) -> None:
    confirmed_order(seller, buyer)
    found = reconcile(CONSUMERS, age=AT_ONCE)
    assert found == 2
    shown = [metric(f'souk_events_reconciled_total{{consumer="{one.name}"}}') for one in CONSUMERS]
    assert shown == [1, 1]
    assert [one.reconciled_at is not None for one in event_path().consumers] == [True, True]


def test_a_clock_that_has_not_looked_for_a_while_is_failing(seller: SignedIn) -> None:
    note_progress(CONSUMERS)
    assert health().checks["clock"].state == "ok"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE reactions_progress SET at = at - interval '31 seconds'")
    assert health().checks["clock"].state == "failing"
    assert metric("souk_clock_seen_seconds") > 31


def test_a_dead_letter_is_a_warning_with_its_count_and_does_not_degrade(seller: SignedIn) -> None:
    park_entry(ORDERS, stream="souk.events.payment", entry_id="1-1", fields={}, error="It has no fields.")
    check = health().checks["dead_letters"]
    assert (check.state, check.count) == ("warning", 1)
    assert metric("souk_dead_letters") == 1


def test_entries_that_nobody_was_given_and_those_not_acknowledged_are_told_of_each_group(
    seller: SignedIn, buyer: SignedIn, streams: redis.Redis
) -> None:
    note_progress(CONSUMERS)
    assert event_path().consumers[0].group is not None
    assert health().checks["worker"].state == "failing"  # nobody reads
    group = Group(streams, CONSUMERS[0], "a-reader")
    group.make()
    confirmed_order(seller, buyer)
    events = list(Event.objects.filter(subject_type="payment"))
    put_into_streams(streams, events)
    put_into_streams(streams, events)
    waiting = event_path().consumers[0].group
    assert waiting is not None
    assert (waiting.entries, waiting.pending, waiting.seconds > 0) == (2, 0, True)
    group.read_new(wait_milliseconds=10)
    given = event_path().consumers[0].group
    assert given is not None
    assert (given.entries, given.pending, given.readers) == (0, 2, 1)
    assert metric('souk_group_pending{consumer="payments"}') == 2
    assert metric('souk_group_lag_entries{consumer="payments"}') == 0


def test_the_terminal_shows_the_same_figures_as_a_table_and_as_json(
    seller: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_settings, "DATABASE_URL", "postgresql://the-tests-own")
    note_progress(CONSUMERS)
    shown = CliRunner().invoke(app, ["events", "lag", "--json"])
    told: dict[str, Any] = msgspec.json.decode(shown.output)
    assert [one["name"] for one in told["consumers"]] == ["payments", "orders"]
    assert (told["slot"], told["dead_letters"]) == (None, 0)
    table = CliRunner().invoke(app, ["events", "lag"], env={"COLUMNS": "200"}).output
    assert "payments  0.0 s" in table.replace("    ", "")
    assert "souk cdc ensure" in table


def test_the_details_are_for_those_who_may_read_the_metrics(anonymous: Api) -> None:
    assert "event_path" in anonymous.get("//health/ready").body
    through_a_proxy = anonymous.get("//health/ready", headers={"X-Forwarded-For": "203.0.113.7"}).body
    assert "event_path" not in through_a_proxy
    assert "events" in through_a_proxy["checks"]


def test_a_consumer_of_new_types_has_them_still_to_hear(clean_database: None) -> None:
    note_progress(CONSUMERS)
    Progress.objects.filter(name="orders").update(
        types=["payment.captured"], upto="01990000-0000-7000-8000-000000000000"
    )
    note_progress(CONSUMERS)
    row = Progress.objects.get(name="orders")
    assert (row.upto.int, row.types) == (0, ORDERS.types())


COUNTING = """
import os, signal, sys, django
django.setup()
from souk.kit import measures
measures.requests.labels("GET", "api/v1/products", "200").inc(int(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""
TELLING = """
import sys, django
django.setup()
from souk.web.metrics import metrics
sys.stdout.write(metrics().decode())
"""


def test_what_processes_counted_is_added_up_though_they_were_killed(tmp_path: Path) -> None:
    def python(script: str, *arguments: str) -> str:
        environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "SOUK_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env={**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "souk.settings"},
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip

    python(COUNTING, "2")
    python(COUNTING, "5")
    lines = python(TELLING).splitlines()
    assert 'souk_http_requests_total{method="GET",route="api/v1/products",status="200"} 7.0' in lines
