"""A whole running Souk for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.private import SoukStack

__all__ = ["SoukStack", "own_stack", "souk_stack"]


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
