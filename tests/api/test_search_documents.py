"""What a search server must be told: which products, and with which version. No server is needed to know that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from souk.accounts.models import User
from souk.accounts.operations.leaving import lock_user
from souk.catalog.models import Tag
from souk.catalog.operations.tagging import change_tag, create_tag, lock_tag
from souk.eventlog.models import Event
from souk.reactions.hearing import Subject, catch_up
from souk.reactions.search import SEARCH, note_what_is_heard
from souk.search.models import Freshness, Outdated
from souk.search.operations.indexing import contents_of, mark_outdated, write_outdated
from tests.callers import Answer, SignedIn


def hear_everything() -> set[UUID]:
    """Let the consumer hear the whole log; the products that are marked then. The marks are gone afterwards."""
    for kind, subject_id in Event.objects.values_list("subject_type", "subject_id").distinct():
        catch_up(SEARCH, Subject(kind, subject_id), again=False)
    marked = set(Outdated.objects.values_list("product_id", flat=True))
    Outdated.objects.all().delete()
    return marked


def version_of(product_id: str) -> int:
    ((_, version, _),) = contents_of([UUID(product_id)])
    return version


@pytest.fixture
def bowl(seller: SignedIn) -> dict[str, Any]:
    create_tag(name="wood")
    create_tag(name="kitchen")
    made = seller.offer("Walnut bowl", tags=["wood"], stock=2, description="Turned.")
    assert hear_everything() == {UUID(made["id"])}
    return made


def test_a_document_says_what_everybody_can_see(bowl: dict[str, Any], seller: SignedIn) -> None:
    ((product_id, version, content),) = contents_of([UUID(bowl["id"])])
    assert (str(product_id), version) == (bowl["id"], 1)
    wanted = {"title": "Walnut bowl", "description": "Turned.", "tags": ["wood"], "price": 1999, "currency": "EUR"}
    assert {name: content[name] for name in wanted} == wanted
    assert (content["available"], content["visible"], content["seller"]) == (True, True, seller.id)


def test_every_change_that_shows_raises_the_version_and_marks_the_product(
    bowl: dict[str, Any], seller: SignedIn, buyer: SignedIn
) -> None:
    address, last = f"/products/{bowl['id']}", 1
    everything = {"lines": [{"product_id": bowl["id"], "quantity": 2}]}
    changes: list[Callable[[], Answer]] = [
        lambda: seller.patch(address, {"title": "Oak bowl"}),
        lambda: seller.put(f"{address}/tags/kitchen"),
        lambda: seller.delete(f"{address}/tags/wood"),
        lambda: seller.patch(address, {"price": {"amount": 1, "currency": "EUR"}}),
        lambda: buyer.post("/orders", everything),
        lambda: seller.post(f"{address}/archive"),
        lambda: seller.post(f"{address}/activate"),
        lambda: seller.delete(address),
    ]
    for change in changes:
        assert change().status < 300
        assert version_of(bowl["id"]) > last
        last = version_of(bowl["id"])
        assert hear_everything() == {UUID(bowl["id"])}
    ((_, _, content),) = contents_of([UUID(bowl["id"])])
    assert content == {"visible": False, "version": last, "part": UUID(bowl["id"]).int & 0xFF}


def test_a_renamed_tag_and_a_locked_seller_mark_their_products(bowl: dict[str, Any], seller: SignedIn) -> None:
    staff = User.objects.get(pk=seller.id)
    with transaction.atomic():
        change_tag(tag=lock_tag(name="wood"), name="timber", staff=staff)
    assert Tag.objects.filter(name="timber").exists()
    assert hear_everything() == {UUID(bowl["id"])}
    lock_user(username="seller")
    assert hear_everything() == {UUID(bowl["id"])}
    ((_, _, content),) = contents_of([UUID(bowl["id"])])
    assert content["visible"] is False


def test_a_product_that_changes_while_it_is_written_stays_marked(bowl: dict[str, Any]) -> None:
    mark_outdated([UUID(bowl["id"])])
    first = Outdated.objects.get()
    mark_outdated([UUID(bowl["id"])])
    again = Outdated.objects.get()
    assert again.mark > first.mark
    assert again.since == first.since


def test_without_an_index_there_is_nothing_to_keep(bowl: dict[str, Any]) -> None:
    mark_outdated([UUID(bowl["id"])])
    assert write_outdated() == 1
    assert not Outdated.objects.exists()


def test_what_nobody_has_heard_yet_counts_as_late(seller: SignedIn) -> None:
    note_what_is_heard()
    before = Freshness.objects.get().heard
    made = seller.offer("Walnut bowl")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE search_freshness SET heard = heard - interval '1 hour'")
    note_what_is_heard()
    told = Event.objects.get(type="product.created").created
    assert before <= told == Freshness.objects.get().heard
    assert hear_everything() == {UUID(made["id"])}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE search_freshness SET heard = heard - interval '1 hour'")
    note_what_is_heard()
    assert Freshness.objects.get().heard > told
