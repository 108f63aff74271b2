"""The whole stack as one plan: which parts run, at which addresses, in which order."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from souk.stack.api import api, base_url
from souk.stack.debezium import capture, environment_for, property_file, read_properties
from souk.stack.home import Home, free_port, port_is_free
from souk.stack.live import live
from souk.stack.postgres import CAPTURE, Cluster, postgres
from souk.stack.service import Service, StackError, Stage, Task
from souk.stack.valkey import CACHE, STREAMS, Valkey, valkey
from souk.stack.worker import clock, worker

LEAST_FREE_BYTES = 512 << 20
LIVE_PORT = 8001


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked for. Addresses that are given are used; what is not given is started.

    `environ` is what the caller's processes would inherit, without anything that an earlier stack told about itself.
    `port` 0 takes a free one.
    """

    home: Home
    environ: Mapping[str, str]
    host: str = "127.0.0.1"
    port: int = 8000
    database_url: str = ""
    redis_url: str = ""
    cache_url: str = ""
    secret_key: str = ""
    say: Callable[[str], None] = field(default=print)

    @cached_property
    def api_port(self) -> int:
        """The port of the API."""
        return self.port or free_port(set(self._ports.values()))

    @cached_property
    def live_port(self) -> int:
        """The port of the live streams: the one asked for; without that 8001, or a free one where that is taken."""
        asked = self.environ.get("SOUK_LIVE_PORT", "")
        if asked.isdigit() and int(asked):
            return int(asked)
        usual_is_free = self.port != 0 and self.api_port != LIVE_PORT and port_is_free(LIVE_PORT, self.host)
        return LIVE_PORT if usual_is_free else free_port({self.api_port, *self._ports.values()})

    @property
    def url(self) -> str:
        """Where the API answers."""
        return base_url(self.host, self.api_port)

    @cached_property
    def _ports(self) -> dict[str, int]:
        return self.home.ports("postgres", "streams", "cache")

    @cached_property
    def cluster(self) -> Cluster | None:
        """Our PostgreSQL, unless one was given."""
        if self.database_url:
            return None
        return Cluster(home=self.home, port=self._ports["postgres"], passwords=self.home.secrets())

    @cached_property
    def valkeys(self) -> tuple[Valkey, ...]:
        """Our stream and cache servers, unless they were given."""
        wanted = [("streams", STREAMS, self.redis_url), ("cache", CACHE, self.cache_url)]
        return tuple(
            Valkey(home=self.home, name=name, keeps=keeps, port=self._ports[name], password=self.home.secrets()[name])
            for name, keeps, given in wanted
            if not given
        )

    @cached_property
    def environment(self) -> dict[str, str]:
        """What every process of the stack, and every command beside it, must know: addresses and the key that signs."""
        found = {"SOUK_HOME": str(self.home.path), "SOUK_PORT": str(self.api_port)}
        found["SOUK_LIVE_PORT"] = str(self.live_port)
        found["SOUK_PUBLIC_URL"] = self.environ.get("SOUK_PUBLIC_URL") or self.url
        found["SOUK_DATABASE_URL"] = self.cluster.url() if self.cluster else self.database_url
        ours = {server.name: server.url() for server in self.valkeys}
        found["SOUK_REDIS_URL"] = ours.get("streams", self.redis_url)
        found["SOUK_CACHE_URL"] = ours.get("cache", self.cache_url)
        found["SOUK_SECRET_KEY"] = self.secret_key or self.home.secrets()["secret_key"]
        seen_by_capture = self.cluster.url(CAPTURE) if self.cluster else self.database_url
        redis_url = found["SOUK_REDIS_URL"]
        return found | environment_for(database_url=seen_by_capture, redis_url=redis_url, given=self.environ)

    def stages(self) -> tuple[Stage, ...]:
        """Everything in the order of its start. Stopping goes backwards: API and live first, the servers last."""
        # What every process counts is added up from files of this folder, prometheus_client's own way.
        counting = {"PROMETHEUS_MULTIPROC_DIR": str(self.home.metrics)}
        env = {**self.environ, **self.environment, **counting, "PYTHONUNBUFFERED": "1"}
        cwd = self.home.path
        servers: list[Service] = [postgres(self.cluster, say=self.say)] if self.cluster else []
        servers += [valkey(server) for server in self.valkeys]
        properties = read_properties(property_file(), self.environment)
        slot = properties["debezium.source.slot.name"]
        return (
            Stage(services=tuple(servers)),
            Stage(tasks=(souk_task("migrate", env, cwd), souk_task("cdc ensure", env, cwd), *self._indexing(env))),
            Stage(
                services=(
                    capture(home=self.home, env=env, database_url=env["SOUK_DATABASE_URL"], slot=slot),
                    clock(env=env, cwd=cwd),
                    worker(env=env, cwd=cwd),
                    live(host=self.host, port=self.live_port, env=env, cwd=cwd),
                    api(host=self.host, port=self.api_port, env=env, cwd=cwd),
                )
            ),
        )

    def _indexing(self, env: Mapping[str, str]) -> tuple[Task, ...]:
        """The first index of a search server that is named; a server that is away keeps nobody from starting."""
        if not env.get("SOUK_SEARCH_URL"):
            return ()
        return (souk_task("search reindex --missing", env, self.home.path, patience=3600.0),)

    def check(self) -> None:
        """Raise StackError for what would make the start fail later and less clearly: a full disk, a taken port."""
        free = shutil.disk_usage(self.home.path).free
        if free < LEAST_FREE_BYTES:
            raise StackError(
                f"Only {free >> 20} MiB are free on the disk of {self.home.path}; Souk needs {LEAST_FREE_BYTES >> 20}. "
                "Free some space, or set SOUK_HOME to a folder on another disk."
            )
        if self.port and not port_is_free(self.port, self.host):
            raise StackError(
                f"Port {self.port} on {self.host} is taken by another program. Stop that one, or choose another port: "
                f"`souk up --port {self.port + 10}` or SOUK_PORT."
            )


def souk_task(command: str, env: Mapping[str, str], cwd: Path, *, patience: float = 300.0) -> Task:
    """One command of Souk's own as a task."""
    return Task(
        name=command.partition(" --")[0].replace(" ", "-"),
        argv=(sys.executable, "-m", "souk", *command.split()),
        env={**env, "SOUK_PROCESS": "command"},
        cwd=cwd,
        patience=patience,
    )
