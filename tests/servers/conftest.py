"""Servers of their own kind beside a whole Souk. `make test` says that it left them out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.ground import Ground
from tests.servers.searchers import OPENSEARCH, Searcher, running
from tests.servers.searching import wait_asked

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def asked_for(request: pytest.FixtureRequest) -> None:
    """These tests start large servers, and download them the first time: they run when they are named."""
    named = [Path(str(one).split("::")[0]).resolve() for one in request.config.args]
    if not any(one.is_relative_to(HERE) for one in named):
        pytest.skip("the tests on real servers run with `make test-servers`")


@pytest.fixture(scope="session")
def ground(asked_for: None) -> Iterator[Ground]:
    """A whole Souk, embedded, which further processes and servers can join."""
    made = Ground(Path(tempfile.mkdtemp(prefix="souk-servers-")))
    made.stack.up()
    yield made
    made.down()
    shutil.rmtree(made.stack.home, ignore_errors=True)


@pytest.fixture(scope="module")
def searcher(asked_for: None) -> Iterator[Searcher]:
    """A real OpenSearch."""
    with running(OPENSEARCH) as server:
        yield server


@pytest.fixture
def client(shop: Ground) -> Iterator[httpx.Client]:
    """A client of the module's own `shop`, once it asks its search server."""
    with httpx.Client(base_url=shop.url, timeout=60) as made:
        wait_asked(made)
        yield made
