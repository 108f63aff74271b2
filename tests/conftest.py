"""The real PostgreSQL that the tests speak to, and the callers who speak through HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, connections

from souk.settings import CHECKOUT, database
from souk.stack.postgres import running_postgres
from tests.books import assert_books_agree
from tests.callers import Api, SignedIn
from tests.receivers import Receiver, running_receiver

# Rows that migrations made and tests need.
KEPT = {"django_migrations", "django_content_type", "auth_permission", "oauth2_provider_application"}
LARGE = 16 * 2**20  # bytes in all tables from which emptying them row by row is the slower way


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL of the tests' own, kept between runs (or the one that SOUK_TEST_DATABASE_URL names)."""
    given = os.environ.get("SOUK_TEST_DATABASE_URL")
    if given:
        yield given
        return
    with running_postgres(CHECKOUT / ".souk" / "test", durable=False) as url:
        yield url


@pytest.fixture(scope="session")
def django_db_setup(postgres_url: str, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """A migrated test database, in place of pytest-django's own set-up, which would read the settings too early."""
    fresh = database(postgres_url)
    # A key derivation per sign-in, a limit per address: neither is what most tests are about.
    settings.RATE_LIMITS = False
    wrapper = connections["default"]
    for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD", "OPTIONS"):
        wrapper.settings_dict[name] = fresh[name]
    with django_db_blocker.unblock():  # type: ignore[attr-defined]  # pytest-django gives its type no public name
        # One database per run, so that two runs at once do not empty each other's tables.
        wrapper.settings_dict["TEST"]["NAME"] = f"test_souk_{os.getpid()}"
        name = wrapper.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        yield
        for one in connections.all():
            one.close()
            one.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's back end has it
        wrapper.creation.destroy_test_db(name, verbosity=0)


@pytest.fixture
def clean_database(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    """An empty database with real commits: no transaction is wrapped around the test. Its books agree at the end."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]  # pytest-django gives its type no public name
        try:
            empty_tables()
            yield
            assert_books_agree()
        finally:
            connection.close()


def empty_tables() -> None:
    """Empty every table but those that migrations filled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename, pg_table_size(tablename::regclass) FROM pg_tables WHERE schemaname = 'public'"
        )
        sizes = {name: size for name, size in cursor.fetchall() if name not in KEPT}
        if sum(sizes.values()) > LARGE:
            cursor.execute(f"TRUNCATE {', '.join(sizes.keys() - {'accounts_user'})}")
        # One statement, so that foreign keys are looked at when all is gone; for few rows far faster than TRUNCATE.
        # It runs again for what triggers wrote meanwhile.
        deletions = ", ".join(f"gone_{number} AS (DELETE FROM {table})" for number, table in enumerate(sizes))  # noqa: S608  # names from the catalogue
        for _ in range(2):
            cursor.execute(f"WITH {deletions} SELECT 1")
        cursor.execute("INSERT INTO eventlog_position (id, last) VALUES (1, 0)")


@pytest.fixture
def anonymous(clean_database: None) -> Api:
    """A caller without a token."""
    return Api()


@pytest.fixture
def seller(anonymous: Api) -> SignedIn:
    """A registered and signed-in user who sells."""
    return SignedIn.register("seller")


@pytest.fixture
def other_seller(anonymous: Api) -> SignedIn:
    """Another one."""
    return SignedIn.register("other-seller")


@pytest.fixture
def buyer(anonymous: Api) -> SignedIn:
    """A registered and signed-in user who buys."""
    return SignedIn.register("buyer")


@pytest.fixture
def stranger(anonymous: Api) -> SignedIn:
    """A registered and signed-in user who has nothing to do with it."""
    return SignedIn.register("stranger")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real catalogues and orders; the test is skipped without it."""
    if not settings.DATA.is_dir():
        pytest.skip(f"there is no real data at SOUK_DATA ({settings.DATA})")
    return Path(settings.DATA)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody who takes webhooks."""
    with running_receiver() as running:
        yield running
