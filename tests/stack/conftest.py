"""A whole running Souk for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.counts import Counts
from tests.stack.private import SoukStack

__all__ = ["SoukStack", "contract_counts", "own_stack", "souk_stack"]
COUNTS = pytest.StashKey[Counts]()


@pytest.fixture(scope="session")
def contract_counts(pytestconfig: pytest.Config) -> Counts:
    """How many requests were made from the contract; told at the end of the run."""
    return pytestconfig.stash.setdefault(COUNTS, Counts())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of requests, where any were counted."""
    if (counts := config.stash.get(COUNTS, None)) is not None and counts.sent:
        terminalreporter.section("requests made from the contract and from the corpus")
        terminalreporter.write_line("\n".join(counts.lines()))


@pytest.fixture(scope="session")
def souk_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoukStack]:
    """One stack for all tests that leave it running: rate limits off, everything else as it comes."""
    stack = SoukStack(tmp_path_factory.mktemp("souk"), extra={"SOUK_RATE_LIMITS": "off"})
    stack.up()
    yield stack
    stack.down()


@pytest.fixture
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoukStack]:
    """A stack that this test alone starts and breaks."""
    stack = SoukStack(tmp_path_factory.mktemp("own"), extra={"SOUK_RATE_LIMITS": "off"})
    yield stack
    stack.down()
