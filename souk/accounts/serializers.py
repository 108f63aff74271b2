"""The shapes of accounts, in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from souk.accounts.models import User
from souk.kit.parsing import Page, Shape

DisplayName = Annotated[str, msgspec.Meta(max_length=100)]
Bio = Annotated[str, msgspec.Meta(max_length=2000)]
Email = Annotated[str, msgspec.Meta(max_length=254)]
# Generous: what counts is the length after NFKC, which the operation judges.
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Username = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]

MailedTokenText = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class RegisterIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends to open an account."""

    username: Username
    password: Password
    email: Email | None = None
    display_name: DisplayName = ""


class ProfileChange(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends to change what they say about themselves; a null e-mail removes it."""

    display_name: DisplayName | UnsetType = UNSET
    bio: Bio | UnsetType = UNSET
    email: Email | UnsetType | None = UNSET

    def sent(self) -> dict[str, Any]:
        """The fields that were sent."""
        found = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}
        return {name: value or "" for name, value in found.items()}


class UsersQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of `GET /users`."""

    username: Annotated[str, msgspec.Meta(max_length=200)]


class UserOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody as everybody sees them; `followed` says whether the caller follows them."""

    id: UUID
    username: str
    display_name: str
    bio: str
    followers_count: int
    products_count: int
    created: datetime
    updated: datetime
    followed: bool | UnsetType = UNSET


class OwnUserOut(UserOut, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody as they see themselves."""

    email: str | None
    email_verified: bool
    is_staff: bool


class DeleteAccountIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends to close their account."""

    password: Password


class ChangePasswordIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends to change their password."""

    current_password: Password
    new_password: Password


class PasswordResetIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends who has forgotten their password."""

    email: Annotated[str, msgspec.Meta(min_length=1, max_length=254)]


class ConfirmResetIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends who got the mail."""

    token: MailedTokenText
    new_password: Password


class ConfirmEmailIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends to prove that they read their mail."""

    token: MailedTokenText


class UsersOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of users."""

    results: list[UserOut]
    next: str | None


def user_out(user: Any) -> UserOut:
    """The public shape of a user that was read with `counted()` and `seen_by()`."""
    followed = user.followed_by_caller
    return UserOut(**_public(user), followed=UNSET if followed is None else followed)


def own_user_out(user: Any) -> OwnUserOut:
    """The shape of a user, read with `counted()`, that only they see."""
    return OwnUserOut(
        **_public(user), email=user.email or None, email_verified=user.email_verified, is_staff=user.is_staff
    )


def _public(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in UserOut.__struct_fields__ if name != "followed"}
