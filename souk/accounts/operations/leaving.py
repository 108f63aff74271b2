"""Going, and being kept out: an account that is deleted, locked or let in again.

Nothing has to be done to what the user sells: everybody asks for products of sellers in good standing, and so does the
placing of an order. Holds that exist stand.
"""

from __future__ import annotations

from django.db import transaction

from souk.accounts.models import User
from souk.accounts.operations.following import end_follows, lock_named, lock_with_followed, shift_followed_counts
from souk.accounts.operations.passwords import prove_password
from souk.eventlog.models import ClockTimestamp
from souk.eventlog.operations import SYSTEM, Actor, acting_user, database_now, record
from souk.kit.problem import NotAuthenticated
from souk.kit.tracing import traced


@traced
@transaction.atomic(savepoint=False)
def delete_account(*, user: User, password: str) -> None:
    """Close the caller's account for good and forget what they said about themselves. The name stays taken.

    Every token ends at once. Raises WrongPassword.
    """
    proved = prove_password(user=user, password=password, pointer="/password")
    locked = lock_with_followed(user_id=user.pk)
    if locked is None or not locked.is_active or locked.password != proved:
        raise NotAuthenticated
    now = database_now()
    end_follows(user_id=locked.pk, at=now)
    record(
        locked,
        "user.deleted",
        actor=acting_user(locked.pk),
        data={"username": locked.username},
        audience=[locked.pk],
    )
    locked.set_unusable_password()
    locked.change(
        deleted=now,
        updated=now,
        is_active=False,
        token_epoch=ClockTimestamp(),
        password=locked.password,
        email="",
        email_verified=False,
        display_name="",
        bio="",
    )


@traced
@transaction.atomic(savepoint=False)
def lock_user(*, username: str, actor: Actor = SYSTEM) -> User:
    """Keep a user out: every token ends at once, no new one is given, their products are hidden and not for sale.

    `actor` is who does it: a member of the staff, or Souk's operator. Repeatable. Raises NotFound.
    """
    user = lock_named(username=username)
    if user.is_active:
        shift_followed_counts(user_id=user.pk, by=-1)
        _told(user, "user.locked", actor)
        user.change(is_active=False, token_epoch=ClockTimestamp(), updated=database_now())
    return user


@traced
@transaction.atomic(savepoint=False)
def unlock_user(*, username: str, actor: Actor = SYSTEM) -> User:
    """Let a locked user in again; they sign in anew. Repeatable. Raises NotFound."""
    user = lock_named(username=username)
    if not user.is_active:
        shift_followed_counts(user_id=user.pk, by=1)
        _told(user, "user.unlocked", actor)
        user.change(is_active=True, updated=database_now())
    return user


@traced
@transaction.atomic(savepoint=False)
def end_tokens(*, username: str, actor: Actor = SYSTEM) -> User:
    """End every token and every session of a user, who may sign in again. Raises NotFound."""
    user = lock_named(username=username)
    _told(user, "user.tokens_ended", actor)
    user.change(token_epoch=ClockTimestamp(), updated=database_now())
    return user


def _told(user: User, event_type: str, actor: Actor) -> None:
    """Nobody hears of it: it is for the audit trail."""
    record(user, event_type, actor=actor, data={"username": user.username})
