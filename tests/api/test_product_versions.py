"""Entity tags of products, their pages, and changes that meet."""

from __future__ import annotations

import pytest

from tests.books import checksums, rows_of, stock_of, value_of
from tests.callers import Api, SignedIn
from tests.rivals import at_once, in_background, rival, wait_for_waiting


def test_an_edit_of_a_version_that_is_gone_is_refused(seller: SignedIn) -> None:
    bowl = seller.offer()
    address = f"/products/{bowl['id']}"
    assert seller.patch(address, {"title": "Second"}, headers={"If-Match": '"1.1"'}).etag == "2.1"
    before = checksums()
    old = {"If-Match": '"1.1"'}
    for answer in (
        seller.patch(address, {"title": "Third"}, headers=old),
        seller.post(f"{address}/archive", headers=old),
        seller.delete(address, headers=old),
    ):
        assert (answer.status, answer.code) == (412, "version_mismatch")
    assert checksums() == before
    assert seller.patch(address, {"title": "Third"}, headers={"If-Match": '"9.9", "2.1"'}).etag == "3.1"
    assert seller.patch(address, {"title": "Fourth"}, headers={"If-Match": "*"}).etag == "4.1"
    assert seller.delete(address, headers={"If-Match": '"4.1"'}).status == 204


def test_what_is_wrong_in_itself_is_told_before_that_the_version_is_old(seller: SignedIn) -> None:
    address, old = f"/products/{seller.offer()['id']}", {"If-Match": '"9.9"'}
    before = checksums()
    unknown = seller.patch(address, {"tags": ["nothing"], "stock": 1}, headers=old)
    assert (unknown.status, unknown.pointers) == (400, ["/tags/0"])
    assert seller.put(f"{address}/tags/nothing", headers=old).status == 404
    assert seller.send("PUT", f"{address}/tags/nothing", b"x", content_type="text/plain").status == 404
    assert seller.patch(address, {"tags": []}, headers=old).status == 412
    assert checksums() == before


def test_a_sale_spoils_the_counting_of_stock_but_no_other_edit(seller: SignedIn, buyer: SignedIn) -> None:
    bowl = seller.offer(stock=5)
    address = f"/products/{bowl['id']}"
    assert buyer.order((bowl, 1)).status == 201
    seen = {"If-Match": '"1.1"'}
    assert seller.patch(address, {"stock": 5}, headers=seen).code == "version_mismatch"
    assert seller.patch(address, {"title": "Bowl", "stock": 5}, headers=seen).code == "version_mismatch"
    assert stock_of(bowl) == (5, 1)
    edited = seller.patch(address, {"title": "Bowl"}, headers=seen)
    assert (edited.status, edited.etag) == (200, "2.2")
    assert seller.patch(address, {"stock": 4}, headers={"If-Match": '"2.2"'}).etag == "2.3"


def test_a_sale_that_commits_while_stock_is_counted_spoils_the_count(seller: SignedIn, buyer: SignedIn) -> None:
    bowl = seller.offer(stock=5)
    with rival() as cursor:
        cursor.execute("SELECT change_stock(ARRAY[%s]::uuid[], ARRAY[-1], ARRAY[0])", [bowl["id"]])
        cursor.execute(
            "INSERT INTO stock_movement (product_id, kind, d_on_hand, d_reserved) VALUES (%s, 'sale', -1, 0)",
            [bowl["id"]],
        )
        with in_background(
            lambda: seller.patch(f"/products/{bowl['id']}", {"stock": 5}, headers={"If-Match": '"1.1"'})
        ) as counting:
            wait_for_waiting()
            cursor.connection.commit()
            assert counting.result().code == "version_mismatch"
    assert stock_of(bowl) == (4, 0)


def test_what_is_known_already_is_not_sent_again(seller: SignedIn, buyer: SignedIn) -> None:
    bowl = seller.offer(stock=5)
    address = f"/products/{bowl['id']}"
    for known in ('"1.1"', 'W/"1.1"', '"0.0", "1.1"', "*"):
        same = Api().get(address, headers={"If-None-Match": known})
        assert (same.status, same.body, same.etag) == (304, "", "1.1")
    assert buyer.order((bowl, 1)).status == 201
    fresh = Api().get(address, headers={"If-None-Match": '"1.1"'})
    assert (fresh.status, fresh.body["available"], fresh.etag) == (200, 4, "1.2")


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_pages_give_every_product_once_newest_first(seller: SignedIn, limit: int) -> None:
    titles = [seller.offer(f"Bowl {number}")["title"] for number in range(5)]
    for path in ("/products", "/me/products"):
        found: list[str] = []
        page = seller.get(path, limit=limit)
        while True:
            assert len(page.body["results"]) <= limit
            found += [row["title"] for row in page.body["results"]]
            if page.body["next"] is None:
                assert "Link" not in page.headers
                break
            link = f'</api/v1{path}?limit={limit}&cursor={page.body["next"]}>; rel="next"'
            assert page.headers["Link"] == link
            page = seller.get(path, limit=limit, cursor=page.body["next"])
        assert found == titles[::-1]


def test_a_draft_made_live_later_is_newer_than_what_was_live_before(seller: SignedIn) -> None:
    draft = seller.offer("Draft", state="DRAFT")
    seller.offer("Live")
    seller.post(f"/products/{draft['id']}/activate")
    assert [row["title"] for row in Api().get("/products").body["results"]] == ["Draft", "Live"]


def test_edits_at_once_lose_nothing_and_count_every_version(seller: SignedIn) -> None:
    bowl = seller.offer(stock=5, description="old")
    address = f"/products/{bowl['id']}"
    answers = at_once(
        [
            lambda: seller.patch(address, {"title": "New title"}),
            lambda: seller.patch(address, {"description": "new"}),
            lambda: seller.patch(address, {"price": {"amount": 7, "currency": "EUR"}}),
            lambda: seller.patch(address, {"stock": 9}),
        ]
    )
    assert [answer.status for answer in answers] == [200] * 4
    now = seller.get(address)
    assert (now.body["title"], now.body["description"], now.body["price"]["amount"], now.etag) == (
        "New title",
        "new",
        7,
        "4.2",
    )
    assert stock_of(bowl) == (9, 0)


def test_of_edits_of_one_version_at_once_exactly_one_wins(seller: SignedIn) -> None:
    bowl = seller.offer()
    address = f"/products/{bowl['id']}"

    def edit(title: str) -> int:
        return seller.patch(address, {"title": title}, headers={"If-Match": '"1.1"'}).status

    statuses = at_once([lambda title=title: edit(title) for title in ("a", "b", "c", "d")])  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    assert sorted(statuses) == [200, 412, 412, 412]
    assert value_of("SELECT version FROM catalog_product") == 2


def test_bulk_sql_on_products_is_heard_by_the_log(seller: SignedIn) -> None:
    first, second = seller.offer("First"), seller.offer("Second")
    with rival() as cursor:
        cursor.execute("UPDATE catalog_product SET title = title || '!', version = version + 1")
        cursor.execute("UPDATE catalog_product SET updated = updated")
        cursor.connection.commit()
    told = rows_of(
        "SELECT subject_id::text, type, sequence, data->>'title', actor, audience::text[] FROM eventlog_event"
        " WHERE type = 'product.changed' ORDER BY n"
    )
    assert sorted(told) == sorted(
        (product["id"], "product.changed", 2, product["title"] + "!", "system", [seller.id])
        for product in (first, second)
    )
