"""Following, and counts that are exact whatever happens at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import uuid4

import pytest

from souk.accounts.models import User
from souk.accounts.operations import lock_user, unlock_user
from tests.books import assert_books_agree, checksums, events_of, rows_of, value_of
from tests.callers import PASSWORD, Answer, Api, SignedIn
from tests.rivals import at_once

MISCOUNTED = """
    SELECT u.username, u.followers_count, count(f.id)
      FROM accounts_user u
      LEFT JOIN (accounts_follow f JOIN accounts_user w ON w.id = f.follower_id AND w.is_active AND w.deleted IS NULL)
             ON f.followed_id = u.id AND f.deleted IS NULL
     GROUP BY u.id HAVING u.followers_count <> count(f.id)
"""


def test_following_is_repeatable_and_told_once_to_both(seller: SignedIn, buyer: SignedIn) -> None:
    for _ in range(2):
        assert buyer.put(f"/users/{seller.id}/follow").status == 204
    shown = buyer.get(f"/users/{seller.id}").body
    assert (shown["followers_count"], shown["followed"]) == (1, True)
    assert seller.get(f"/users/{buyer.id}").body["followed"] is False
    assert [one["username"] for one in Api().get(f"/users/{seller.id}/followers").body["results"]] == ["buyer"]
    followed = buyer.get("/me/following").body
    assert ([(one["username"], one["followed"]) for one in followed["results"]], followed["next"]) == (
        [("seller", True)],
        None,
    )
    assert events_of(seller.id) == ["user.registered", "user.followed"]
    assert rows_of("SELECT actor, audience::text[] FROM eventlog_event WHERE type = 'user.followed'") == [
        (f"user:{buyer.id}", sorted([buyer.id, seller.id]))
    ]
    for _ in range(2):
        assert buyer.delete(f"/users/{seller.id}/follow").status == 204
    assert Api().get(f"/users/{seller.id}").body["followers_count"] == 0
    assert buyer.get("/me/following").body["results"] == []
    assert_books_agree()


def test_nobody_follows_themselves_or_somebody_who_is_not_there(seller: SignedIn, buyer: SignedIn) -> None:
    lock_user(username="buyer")
    before = checksums()
    for method in ("PUT", "DELETE"):
        own = seller.send(method, f"/users/{seller.id}/follow")
        assert (own.status, own.code) == (409, "own_account")
        assert seller.send(method, f"/users/{uuid4()}/follow").status == 404
        assert seller.send(method, f"/users/{buyer.id}/follow").status == 404
        assert seller.send(method, "/users/nonsense/follow").status == 404
    assert seller.put(f"/users/{uuid4()}/follow", {"since": "ever"}).status == 400
    assert checksums() == before


def test_followers_come_newest_first_page_by_page(seller: SignedIn) -> None:
    fans = [SignedIn.register(f"fan-{number}") for number in range(3)]
    for fan in fans:
        fan.put(f"/users/{seller.id}/follow")
    first = Api().get(f"/users/{seller.id}/followers", limit=2)
    assert [one["username"] for one in first.body["results"]] == ["fan-2", "fan-1"]
    assert 'rel="next"' in first.headers["Link"]
    second = Api().get(f"/users/{seller.id}/followers", limit=2, cursor=first.body["next"])
    assert ([one["username"] for one in second.body["results"]], second.body["next"]) == (["fan-0"], None)
    assert Api().get(f"/users/{seller.id}/followers", cursor="nonsense").code == "malformed_request"
    assert Api().get(f"/users/{uuid4()}/followers").status == 404


def test_fifty_follows_and_unfollows_at_once_end_with_the_right_count(seller: SignedIn) -> None:
    fans = [SignedIn.register(f"fan-{number}") for number in range(5)]
    path = f"/users/{seller.id}/follow"
    calls = [
        partial(fan.send, method, path)
        for fan in fans
        for method in ("PUT", "DELETE", "PUT", "PUT", "DELETE", "PUT", "DELETE", "PUT", "PUT", "DELETE")
    ]
    assert {answer.status for answer in at_once(calls)} == {204}
    assert rows_of(MISCOUNTED) == []
    for fan in fans:
        assert fan.put(path).status == 204
    assert Api().get(f"/users/{seller.id}").body["followers_count"] == 5
    assert_books_agree()


@pytest.mark.parametrize("turn", range(3))
def test_counts_are_exact_when_people_go_while_they_follow_each_other(anonymous: Api, turn: int) -> None:
    people = [SignedIn.register(f"friend-{number}") for number in range(4)]
    pairs = [(one, other) for one in people for other in people if one is not other]
    calls: list[Callable[[], Answer | User]] = [partial(one.put, f"/users/{other.id}/follow") for one, other in pairs]
    calls.insert(turn * 4, partial(lock_user, username="friend-0"))
    calls.insert(turn * 5, partial(people[1].post, "/me/delete", {"password": PASSWORD}))
    assert {heard.status for heard in at_once(calls) if isinstance(heard, Answer)} <= {204, 401, 404}
    assert rows_of(MISCOUNTED) == []
    unlock_user(username="friend-0")
    assert rows_of(MISCOUNTED) == []
    assert value_of("SELECT followers_count FROM accounts_user WHERE username = 'friend-1'") == 0
    assert_books_agree()
