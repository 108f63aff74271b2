"""Tags: the staff's doors, suggestions, and what renaming and deleting do to products."""

from __future__ import annotations

from typing import Any

import pytest

from souk.accounts.models import User
from souk.catalog.operations.tagging import create_tag, fold_tag_uses
from tests.callers import Api, SignedIn


@pytest.fixture
def staff(anonymous: Api) -> SignedIn:
    person = SignedIn.register("staff-member")
    User.objects.filter(pk=person.id).update(is_staff=True)
    return person


def suggested(api: Api, prefix: str = "") -> list[tuple[str, int]]:
    fold_tag_uses()
    answer = api.get("/tags", prefix=prefix)
    assert (answer.status, answer.body["next"]) == (200, None)
    return [(tag["name"], tag["products_count"]) for tag in answer.body["results"]]


def found(api: Api, **query: Any) -> list[str]:
    return [product["title"] for product in api.get("/products", **query).body["results"]]


def test_staff_make_change_and_delete_tags(staff: SignedIn, anonymous: Api) -> None:
    made = staff.post("/tags", {"name": "walnut", "description": "Dark wood."})
    assert (made.status, made.headers["Location"]) == (201, "/api/v1/tags/walnut")
    assert set(made.body) == {"id", "name", "description", "products_count", "created", "updated"}
    assert anonymous.get("/tags/walnut").body == made.body
    changed = staff.patch("/tags/walnut", {"name": "black-walnut"})
    assert (changed.body["id"], changed.body["name"], changed.body["description"]) == (
        made.body["id"],
        "black-walnut",
        "Dark wood.",
    )
    assert anonymous.get("/tags/walnut").code == "not_found"
    assert staff.delete("/tags/black-walnut").status == 204
    assert staff.delete("/tags/black-walnut").code == "not_found"
    assert staff.post("/tags", {"name": "black-walnut"}).status == 201


def test_only_staff_write_tags_and_a_name_is_given_once(staff: SignedIn, seller: SignedIn, anonymous: Api) -> None:
    assert staff.post("/tags", {"name": "oak"}).status == 201
    assert anonymous.post("/tags", {"name": "ash"}).code == "not_authenticated"
    for refused in (
        seller.post("/tags", {"name": "ash"}),
        seller.patch("/tags/oak", {"name": "ash"}),
        seller.delete("/tags/oak"),
    ):
        assert refused.code == "forbidden"
    assert staff.post("/tags", {"name": "oak"}).code == "tag_exists"
    staff.post("/tags", {"name": "ash"})
    assert staff.patch("/tags/ash", {"name": "oak"}).code == "tag_exists"
    assert suggested(anonymous) == [("ash", 0), ("oak", 0)]


@pytest.mark.parametrize(
    "name", ["", "Oak", "oak wood", "-oak", "oak-", "oak--wood", "eiche\n", "nuß", "a" * 51, "\u202eoak", 5, None]
)
def test_names_in_another_form_are_refused(staff: SignedIn, name: object) -> None:
    refused = staff.post("/tags", {"name": name})
    assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", ["/name"])
    assert suggested(staff) == []


def test_suggestions_are_most_used_first_and_count_what_everybody_sees(seller: SignedIn) -> None:
    for name in ("oak", "oil", "ash"):
        create_tag(name=name)
    seller.offer("A", tags=["oil"])
    second = seller.offer("B", tags=["oil", "oak"])
    seller.offer("C", tags=["ash"], state="DRAFT")
    assert suggested(seller) == [("oil", 2), ("oak", 1), ("ash", 0)]
    assert suggested(seller, "o") == [("oil", 2), ("oak", 1)]
    assert suggested(seller, "oa") == [("oak", 1)]
    assert suggested(seller, "O%") == suggested(seller, "pine") == suggested(seller, "😀") == []
    seller.post(f"/products/{second['id']}/archive")
    assert suggested(seller) == [("oil", 1), ("ash", 0), ("oak", 0)]
    seller.post(f"/products/{second['id']}/activate")
    seller.patch(f"/products/{second['id']}", {"tags": ["ash"]})
    assert suggested(seller) == [("ash", 1), ("oil", 1), ("oak", 0)]
    seller.delete(f"/products/{second['id']}")
    assert suggested(seller) == [("oil", 1), ("ash", 0), ("oak", 0)]


def test_all_tags_are_paged_by_name(anonymous: Api) -> None:
    names = [f"tag-{number:02}" for number in range(23)]
    for name in reversed(names):
        create_tag(name=name)
    assert len(anonymous.get("/tags").body["results"]) == 10
    seen, cursor = [], None
    while True:
        page = anonymous.get("/tags", sort="name", limit=10, **({"cursor": cursor} if cursor else {})).body
        seen += [tag["name"] for tag in page["results"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == names
    assert [tag["name"] for tag in anonymous.get("/tags", sort="name", prefix="tag-1").body["results"]] == names[10:20]


def test_a_renamed_tag_stays_on_its_products_and_is_found_by_its_new_name(staff: SignedIn, seller: SignedIn) -> None:
    create_tag(name="mug")
    product = seller.offer("Vessel", tags=["mug"])
    assert staff.patch("/tags/mug", {"name": "cup"}).status == 200
    assert seller.get(f"/products/{product['id']}").body["tags"] == ["cup"]
    assert found(seller, tag="cup") == found(seller, q="cups") == ["Vessel"]
    assert found(seller, tag="mug") == found(seller, q="mug") == []
    assert suggested(seller) == [("cup", 1)]


def test_a_deleted_tag_is_taken_from_products_and_a_new_one_of_its_name_is_another(
    staff: SignedIn, seller: SignedIn
) -> None:
    create_tag(name="mug")
    product = seller.offer("Vessel", tags=["mug"])
    assert staff.delete("/tags/mug").status == 204
    create_tag(name="mug")
    assert seller.get(f"/products/{product['id']}").body["tags"] == []
    assert found(seller) == ["Vessel"]
    assert found(seller, tag="mug") == found(seller, q="mug") == []
    assert suggested(seller) == [("mug", 0)]


def test_a_seller_puts_tags_on_their_products_and_takes_them_off(seller: SignedIn, stranger: SignedIn) -> None:
    for number in range(21):
        create_tag(name=f"tag-{number:02}")
    product = seller.offer("Vessel", tags=[f"tag-{number:02}" for number in range(19)])
    address = f"/products/{product['id']}/tags"
    before = seller.get(f"/products/{product['id']}").etag
    assert seller.put(f"{address}/tag-19").status == seller.put(f"{address}/tag-19").status == 204
    after = seller.get(f"/products/{product['id']}").etag
    assert (before, after) == ("1.1", "2.1")
    refused = seller.put(f"{address}/tag-20")
    assert (refused.status, refused.code) == (400, "validation_failed")
    assert seller.put(f"{address}/tag-20", headers={"If-Match": '"1.1"'}).code == "validation_failed"
    assert seller.put(f"{address}/unknown").code == seller.put(f"{address}/No%20Tag").code == "not_found"
    assert stranger.put(f"{address}/tag-20").code == stranger.delete(f"{address}/tag-00").code == "forbidden"
    assert Api().put(f"{address}/tag-20").code == "not_authenticated"
    assert seller.put(f"{address}/tag-01", headers={"If-Match": '"1.1"'}).code == "version_mismatch"
    assert seller.delete(f"{address}/tag-00").status == seller.delete(f"{address}/tag-00").status == 204
    assert seller.delete(f"{address}/unknown").status == 204
    # No tag can be called so: that address does not exist, for any method.
    assert seller.delete(f"{address}/%00").code == seller.delete(f"{address}/No%20Tag").code == "not_found"
    names = [f"tag-{number:02}" for number in range(1, 20)]
    assert seller.get(f"/products/{product['id']}").body["tags"] == names
    assert found(seller, tag=["tag-01", "tag-19"]) == ["Vessel"]
    assert found(seller, tag="tag-00") == []
    assert seller.get(f"/products/{product['id']}").etag == "3.1"


@pytest.mark.parametrize(
    "query", [{"limit": 0}, {"limit": 101}, {"sort": "newest"}, {"prefix": "a" * 51}, {"prefix": "\0"}, {"cursor": "x"}]
)
def test_bad_questions_about_tags_are_named(anonymous: Api, query: dict[str, Any]) -> None:
    refused = anonymous.get("/tags", **query)
    assert (refused.code, refused.pointers) == ("malformed_request", [next(iter(query))])
    assert anonymous.get("/tags/%00").code == anonymous.get("/tags/Oak").code == "not_found"
