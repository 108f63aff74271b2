"""A real Debezium Server, from its Maven distribution, with the property file of this repository as it is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis

from souk.stack.api import ask
from souk.stack.debezium import environment_for, property_file
from souk.stack.home import Home, free_port
from souk.stack.identity import die_with_parent
from souk.stack.postgres import running_postgres
from tests.callers import PASSWORD
from tests.servers.searchers import CACHE, java_between, maven
from tests.stack.private import SoukStack, bare_environment, wait_for
from tests.streams import running_valkey

VERSION = "3.6.3.Final"
ARTIFACT = f"io.debezium:debezium-server-dist:{VERSION}:tar.gz"
OPTIONS = ("--add-opens=java.base/java.lang=ALL-UNNAMED", "-Xmx256m", "-XX:+UseSerialGC")


def distribution() -> Path:
    """The folder of the unpacked distribution; fetched once."""
    folder = CACHE / "debezium"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        maven("dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}", name=ARTIFACT)
        (packed,) = folder.glob("*.tar.gz")
        with tarfile.open(packed) as archive:
            archive.extractall(folder, filter="data")
        packed.unlink()
        (folder / "complete").touch()
    return folder / "debezium-server"


@dataclass
class Shop:
    """A database and a stream server with nobody who reads or trims: what is captured stays to be looked at."""

    home: Path
    owner: str
    streams: redis.Redis
    redis_url: str

    @property
    def environment(self) -> dict[str, str]:
        """What any process of Souk, and Debezium Server, is told. Secrets stand nowhere else."""
        secret = Home(self.home).secrets()["souk_cdc"]
        own = {"DEBEZIUM_SOURCE_DATABASE_USER": "souk_cdc", "DEBEZIUM_SOURCE_DATABASE_PASSWORD": secret}
        captured = environment_for(database_url=self.owner, redis_url=self.redis_url, given=own)
        named = {"SOUK_DATABASE_URL": self.owner, "SOUK_REDIS_URL": self.redis_url, "SOUK_CACHE_URL": self.redis_url}
        return {**named, **captured, "SOUK_SECRET_KEY": "a key of this test", "SOUK_RATE_LIMITS": "off"}

    def souk(self, *command: str, **environment: str) -> None:
        """Run one command to its end."""
        done = SoukStack(self.home / "souk", extra={**self.environment, **environment}).souk(*command)
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def engine(self, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """The embedded engine, until the block ends."""
        with started([sys.executable, "-m", "souk", "capture"], self.told(environment), self.home, "engine") as process:
            self.wait_read(process, environment)
            yield process

    @contextmanager
    def server(self, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """Debezium Server, until the block ends."""
        folder, config = distribution(), self.home / "server" / "config"
        config.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(property_file(), config / "application.properties")
        (runner,) = folder.glob("debezium-server-*runner.jar")
        argv = [java_between(21, 99), *OPTIONS, "-cp", f"{runner}:{config}:{folder}/lib/*", "io.debezium.server.Main"]
        port = {"QUARKUS_HTTP_PORT": str(free_port())}
        with started(argv, self.told({**environment, **port}), self.home / "server", "server") as process:
            self.wait_read(process, environment)
            yield process

    @contextmanager
    def api(self) -> Iterator[httpx.Client]:
        """The API, until the block ends."""
        port = free_port()
        argv = [sys.executable, "-m", "souk", "api", "--port", str(port), "--workers", "1"]
        url = f"http://127.0.0.1:{port}"
        with started(argv, self.told({"SOUK_PROCESS": "api"}), self.home, "api"), httpx.Client(base_url=url) as client:
            wait_for(lambda: ask(f"{url}/health/live")[0] == 200, what="the API answers")
            client.timeout = httpx.Timeout(60)
            yield client

    def told(self, more: Mapping[str, str]) -> dict[str, str]:
        """A whole environment for a process."""
        return {**bare_environment(), "SOUK_HOME": str(self.home / "souk"), **self.environment, **more}

    def wait_read(self, process: subprocess.Popen[bytes], environment: Mapping[str, str]) -> None:
        """Wait until somebody reads the slot."""
        slot = environment.get("DEBEZIUM_SOURCE_SLOT_NAME", "souk")

        def is_read() -> bool:
            assert process.poll() is None, (self.home / "server.log").read_text()[-2000:]
            asked = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
            return bool((self.row(asked, slot) or [False])[0])

        wait_for(is_read, what=f"the slot {slot} is read", seconds=180)

    def row(self, sql: str, *parameters: Any) -> Any:
        """The first row of a statement, as the owner."""
        with psycopg.connect(self.owner, autocommit=True) as at:
            return at.execute(sql.encode(), parameters).fetchone()

    def entries(self, database: int = 0) -> dict[str, list[tuple[bytes, bytes]]]:
        """Every stream of events with the key and the value of its entries, in order."""
        where = self.streams.connection_pool.connection_kwargs
        with redis.Redis(host="127.0.0.1", port=where["port"], db=database) as client:
            found: dict[str, list[tuple[bytes, bytes]]] = {}
            for name in sorted(client.scan_iter(match="souk.events.*")):
                told: Any = client.xrange(name)
                found[name.decode()] = [(fields[b"key"], fields[b"value"]) for _, fields in told]
            return found


@contextmanager
def started(
    argv: list[str], environment: Mapping[str, str], folder: Path, name: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, until the block ends; what it says is in a file beside the folder it works in."""
    log_folder = folder if name != "server" else folder.parent
    with (log_folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            argv, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            preexec_fn=die_with_parent(os.getpid(), signal.SIGKILL),  # noqa: PLW1509 - ends with the tests
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def shop_of_its_own(home: Path) -> Iterator[Shop]:
    """PostgreSQL and Valkey, migrated, with the slot made."""
    with running_postgres(home, durable=False) as url, running_valkey(home) as streams:
        port = streams.connection_pool.connection_kwargs["port"]
        shop = Shop(home, url, streams, f"redis://127.0.0.1:{port}/0")
        shop.souk("migrate")
        shop.souk("cdc", "ensure")
        yield shop


def trade(client: httpx.Client, name: str, *, orders: int = 3) -> None:
    """A user signs up, offers things, and others order them: events of every kind of subject."""
    people = []
    for who in (f"{name}-seller", f"{name}-buyer"):
        assert client.post("/api/v1/users", json={"username": who, "password": PASSWORD}).status_code == 201
        asked = {"grant_type": "password", "username": who, "password": PASSWORD, "client_id": "souk-web"}
        token = client.post("/oauth/token", data=asked).json()["access_token"]
        people.append({"Authorization": f"Bearer {token}"})
    seller, buyer = people
    body = {"title": f'Käse «{name}» \\ "8"', "price": {"amount": 100, "currency": "EUR"}, "stock": 2}
    for _ in range(orders):
        made = client.post("/api/v1/products", json=body, headers=seller).json()
        line = {"product_id": made["id"], "quantity": 2}
        order = client.post("/api/v1/orders", json={"lines": [line]}, headers=buyer)
        assert order.status_code == 201, order.text
        address = f"/api/v1/orders/{order.json()['id']}"
        token = {"payment": {"method": "card", "token": "tok_ok"}}
        assert client.post(f"{address}/confirm", json=token, headers=buyer).status_code == 200
