"""Following. `followers_count` is the number of followers in good standing, exact at every commit.

Lock order: the advisory lock of one user's follows (shared to follow, alone to come or go), user rows by id, follows.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from souk.accounts.models import Follow, User
from souk.eventlog.operations import acting_user, database_now, record
from souk.kit.entity import new_id
from souk.kit.problem import NotAuthenticated, NotFound, Refused
from souk.kit.tracing import traced


class OwnAccount(Refused):
    """Nobody follows themselves."""

    advice = "Follow somebody else."
    status, code, title = 409, "own_account", "This is your own account"


@traced
@transaction.atomic(savepoint=False)
def follow_user(*, follower: User, followed_id: UUID) -> None:
    """Follow somebody; repeatable. Raises NotFound, OwnAccount."""
    followed = _lock_followed(follower, followed_id)
    now = database_now()
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO accounts_follow (id, created, updated, follower_id, followed_id)
            VALUES (%s, %s, %s, %s, %s)
                ON CONFLICT (follower_id, followed_id) WHERE deleted IS NULL DO NOTHING
            """,
            [new_id(), now, now, follower.pk, followed.pk],
        )
        if not cursor.rowcount:
            return
    User.objects.filter(pk=followed.pk).update(followers_count=F("followers_count") + 1)
    record(
        followed,
        "user.followed",
        actor=acting_user(follower.pk),
        data={"follower_id": follower.pk, "followed_id": followed.pk},
        audience=[follower.pk, followed.pk],
    )


@traced
@transaction.atomic(savepoint=False)
def unfollow_user(*, follower: User, followed_id: UUID) -> None:
    """Follow somebody no more; repeatable. Raises NotFound, OwnAccount."""
    followed = _lock_followed(follower, followed_id)
    now = database_now()
    ended = Follow.objects.filter(follower=follower, followed=followed).update(deleted=now, updated=now)
    if ended:
        User.objects.filter(pk=followed.pk).update(followers_count=F("followers_count") - 1)


def end_follows(*, user_id: UUID, at: datetime) -> None:
    """End every follow of and by a user who leaves."""
    shift_followed_counts(user_id=user_id, by=-1)
    for role in ("follower", "followed"):
        Follow.objects.filter(**{role: user_id}).update(deleted=at, updated=at)
    User.objects.filter(pk=user_id).update(followers_count=0)


def shift_followed_counts(*, user_id: UUID, by: int) -> None:
    """Add to the follower counts of everybody whom this user follows. The caller called `lock_with_followed`."""
    User.objects.filter(pk__in=_followed_by(user_id)).update(followers_count=F("followers_count") + by)


def lock_with_followed(*, user_id: UUID) -> User | None:
    """Lock the user and everybody whom they follow; nobody new is followed until the commit. None: there is no user."""
    _hold_follows(user_id, shared=False)
    ids = [user_id, *_followed_by(user_id)]
    rows = User.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
    return next((user for user in rows if user.pk == user_id), None)


def lock_named(*, username: str) -> User:
    """The user with this name, locked as `lock_with_followed` does. Raises NotFound."""
    known = User.objects.named(username).first()
    user = known and lock_with_followed(user_id=known.pk)
    if user is None:
        raise NotFound(f"There is no user {username}.")
    return user


def _followed_by(user_id: UUID) -> list[UUID]:
    return list(Follow.objects.filter(follower_id=user_id).values_list("followed_id", flat=True))


def _lock_followed(follower: User, followed_id: UUID) -> User:
    if follower.pk == followed_id:
        raise OwnAccount
    _hold_follows(follower.pk, shared=True)
    # A statement after the one that waited: it sees what the holder of the lock committed.
    if not User.objects.in_good_standing().filter(pk=follower.pk).exists():
        raise NotAuthenticated
    found = User.objects.in_good_standing().filter(pk=followed_id).select_for_update(no_key=True).first()
    if found is None:
        raise NotFound
    locked: User = found
    return locked


def _hold_follows(user_id: UUID, *, shared: bool) -> None:
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 21))", [str(user_id)])
