"""The served shop that the races are played in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from bench.serving import environment, served

SEEDS = range(1, 1 + int(os.environ.get("RACE_SEEDS", "2")))


@pytest.fixture(scope="session")
def race_environment(
    postgres_url: str, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What an API process over the test database is started with."""
    parts = urlsplit(postgres_url)
    address = urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))
    return environment(address, Path(tmp_path_factory.mktemp("races")), SOUK_MAX_HOLDS_PER_USER="1000")


@pytest.fixture(scope="session")
def race_port(race_environment: dict[str, str]) -> Iterator[int]:
    """Where two API processes serve the test database."""
    with served(race_environment) as port:
        yield port
