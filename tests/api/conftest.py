"""Who acts in the tests of the pages for staff, receivers of webhooks on this machine, and a catalogue of years."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from souk.accounts.operations import create_user
from tests.api.long_catalogue import filled
from tests.api.test_staff_acts import Shop
from tests.api.test_staff_pages import Member, signed_in
from tests.callers import PASSWORD, SignedIn


@pytest.fixture
def boss(clean_database: None) -> Member:
    """Staff that may do everything, signed in."""
    create_user(username="boss", password=PASSWORD, is_staff=True)
    return signed_in("boss")


@pytest.fixture
def shop(boss: Member, seller: SignedIn, buyer: SignedIn) -> Shop:
    """Rows of every kind for the pages to show."""
    return Shop(seller, buyer, boss)


@pytest.fixture
def loopback_allowed(settings: Any, clean_database: None) -> None:
    """Webhooks may go to this machine."""
    settings.WEBHOOK_ALLOW_LOOPBACK = True


@pytest.fixture(scope="module")
def long_catalogue(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock(), filled():
        yield
