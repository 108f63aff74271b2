"""Strangers read a real streaming replica; everybody else, and everybody when it is late or dead, the primary."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from souk.stack.postgres import running_postgres
from tests.callers import PASSWORD
from tests.faults.ground import Ground
from tests.servers.replicas import Replica, replica_of
from tests.stack.private import wait_for

# Far more than any step of a test takes, and less than its patience.
PATIENT_SECONDS, STRICT_SECONDS = 30.0, 2.0


@pytest.fixture(scope="module")
def replica(ground: Ground) -> Iterator[Replica]:
    with replica_of(ground.stack.home, ground.stack.environment["SOUK_DATABASE_URL"]) as made:
        yield made


@contextmanager
def shop_beside(ground: Ground, replica: Replica, limit_seconds: float) -> Iterator[httpx.Client]:
    """An API process that knows the replica and has found it well."""
    named = {"SOUK_DATABASE_REPLICA_URL": replica.url(), "SOUK_REPLICA_LAG_SECONDS": str(limit_seconds)}
    with ground.more_api(**named) as url, httpx.Client(base_url=url, timeout=30) as client:
        wait_for(lambda: state_of(client) == "ok", what="the replica is read")
        yield client


@pytest.fixture
def shop(ground: Ground, replica: Replica) -> Iterator[httpx.Client]:
    with shop_beside(ground, replica, PATIENT_SECONDS) as client:
        yield client


@pytest.fixture
def strict_shop(ground: Ground, replica: Replica) -> Iterator[httpx.Client]:
    with shop_beside(ground, replica, STRICT_SECONDS) as client:
        yield client


def state_of(client: httpx.Client) -> str:
    return str(client.get("/health/ready").json()["checks"]["replica"]["state"])


def sign_up(client: httpx.Client, name: str) -> dict[str, str]:
    made = client.post("/api/v1/users", json={"username": name, "password": PASSWORD})
    assert made.status_code == 201, made.text
    asked = {"grant_type": "password", "username": name, "password": PASSWORD, "client_id": "souk-web"}
    return {"Authorization": "Bearer " + client.post("/oauth/token", data=asked).json()["access_token"]}


def offer(client: httpx.Client, seller: dict[str, str], title: str) -> str:
    body = {"title": title, "price": {"amount": 100, "currency": "EUR"}, "stock": 3}
    made = client.post("/api/v1/products", json=body, headers=seller)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def found(client: httpx.Client, words: str, **headers: str) -> list[str]:
    answer = client.get("/api/v1/products", params={"q": words}, headers=headers)
    assert answer.status_code == 200, answer.text
    return [one["title"] for one in answer.json()["results"]]


def statements(replica: Replica) -> list[str]:
    """What the connections of the API last asked the replica."""
    with psycopg.connect(replica.url("postgres")) as at:
        rows = at.execute("SELECT query FROM pg_stat_activity WHERE application_name = 'souk api'").fetchall()
    return [str(query) for (query,) in rows]


def paused(replica: Replica, *, resume: bool = False) -> None:
    replica.execute("SELECT pg_wal_replay_resume()" if resume else "SELECT pg_wal_replay_pause()")


def test_strangers_read_the_replica_and_signed_in_callers_the_primary(shop: httpx.Client, replica: Replica) -> None:
    seller = sign_up(shop, "replica-seller")
    paused(replica)
    try:
        made = offer(shop, seller, "Zircon ring")
        # The replica has not replayed it: whoever sees it has read the primary.
        assert found(shop, "zircon", **seller) == ["Zircon ring"]
        assert found(shop, "zircon") == []
        # A thing that is not there yet is asked for at the primary.
        assert shop.get(f"/api/v1/products/{made}").json()["title"] == "Zircon ring"
    finally:
        paused(replica, resume=True)
    wait_for(lambda: found(shop, "zircon") == ["Zircon ring"], what="the replica shows the product")
    assert any("found.following" in query for query in statements(replica))
    assert shop.get("/api/v1/tags", params={"sort": "name"}).status_code == 200
    assert any("catalog_tag" in query for query in statements(replica))


def test_a_replica_that_is_late_is_not_read_until_it_caught_up(strict_shop: httpx.Client, replica: Replica) -> None:
    shop = strict_shop
    seller = sign_up(shop, "late-seller")
    paused(replica)
    try:
        offer(shop, seller, "Yttrium lamp")
        wait_for(lambda: found(shop, "yttrium") == ["Yttrium lamp"], what="the primary answers strangers")
        told = shop.get("/health/ready").json()
        assert (told["status"], told["checks"]["replica"]["state"]) == ("degraded", "failing")
        assert told["checks"]["replica"]["age_seconds"] > STRICT_SECONDS
    finally:
        paused(replica, resume=True)
    wait_for(lambda: state_of(shop) == "ok", what="the replica is read again")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_no_stranger_notices_a_replica_that_is_killed_or_stands_still(
    shop: httpx.Client, replica: Replica, end: signal.Signals
) -> None:
    offer(shop, sign_up(shop, f"seller-{end.name.lower()}"), f"Xenon {end.name.lower()}")
    wait_for(lambda: found(shop, end.name) != [], what="the replica shows the product")
    if end == signal.SIGSTOP:
        replica.freeze()
    else:
        replica.stop(end)
    for _ in range(20):
        assert found(shop, end.name) == [f"Xenon {end.name.lower()}"]
    wait_for(lambda: state_of(shop) == "failing", what="the loss is told")
    if end == signal.SIGSTOP:
        replica.thaw()
    else:
        replica.start()
    wait_for(lambda: state_of(shop) == "ok", what="the replica is read again")


def test_the_doctor_and_the_start_name_a_replica_of_another_cluster(
    ground: Ground, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("other")
    with running_postgres(home, durable=False) as other:
        ground.stack.extra = {**ground.stack.extra, "SOUK_DATABASE_REPLICA_URL": other}
        try:
            said = ground.stack.souk("doctor")
        finally:
            ground.stack.extra = {k: v for k, v in ground.stack.extra.items() if k != "SOUK_DATABASE_REPLICA_URL"}
        assert said.returncode == 1
        assert "SOUK_DATABASE_REPLICA_URL is a server of another cluster" in said.stdout
        with ground.more_api(SOUK_DATABASE_REPLICA_URL=other) as url, httpx.Client(base_url=url, timeout=30) as client:
            assert client.get("/api/v1/products").status_code == 200
            assert state_of(client) == "failing"
        assert "warning: SOUK_DATABASE_REPLICA_URL is a server of another cluster" in extra_log(ground)


def test_a_promoted_replica_and_a_wrong_address_are_named_and_not_read(ground: Ground, replica: Replica) -> None:
    with replica_of(ground.stack.home, ground.stack.environment["SOUK_DATABASE_URL"], name="promoted") as promoted:
        promoted.execute("SELECT pg_promote()")
        for address, said in ((promoted.url(), "it was promoted"), (replica.url() + "x", "does not answer")):
            with ground.more_api(SOUK_DATABASE_REPLICA_URL=address) as url, httpx.Client(base_url=url) as client:
                assert client.get("/api/v1/products", timeout=30).status_code == 200
                assert client.get("/health/ready", timeout=30).json()["checks"]["replica"]["state"] == "failing"
            assert said in extra_log(ground)


def extra_log(ground: Ground) -> Any:
    return Path(ground.stack.home / "log" / "extra-api.log").read_text()
