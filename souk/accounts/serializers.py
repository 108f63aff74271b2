"""The shapes of accounts, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from souk.accounts.models import User
from souk.kit.parsing import Count, Moment, Page, Shape, told

SHOWABLE = r"^[^\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"
SHOWABLE_TEXT = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"
DisplayName = Annotated[str, msgspec.Meta(max_length=100), told(pattern=SHOWABLE)]
Bio = Annotated[str, msgspec.Meta(max_length=2000), told(pattern=SHOWABLE_TEXT)]
Email = Annotated[
    str,
    msgspec.Meta(max_length=254),
    told(anyOf=[{"type": "string", "format": "email"}, {"type": "string", "maxLength": 0}]),
]
# Generous: what counts is the length after NFKC, which the operation judges.
Password = Annotated[str, msgspec.Meta(min_length=1, max_length=512), told(writeOnly=True)]
NewPassword = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=512),
    told(
        minLength=8,
        maxLength=128,
        format="password",
        writeOnly=True,
        description="None of the most common ones, not only digits, not like the user name.",
    ),
]
Username = Annotated[
    str, msgspec.Meta(min_length=1, max_length=128), told(minLength=3, maxLength=32, pattern=r"^[A-Za-z0-9_.\-]+$")
]
# What a parameter of a form takes, as LONGEST_VALUE in souk.accounts.tokens says.
FormValue = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
# RFC 6749, section 3.2: a parameter without a value is as good as none.
OptionalFormValue = Annotated[str, msgspec.Meta(max_length=1024)]
MailedTokenText = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class RegisterIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends to open an account."""

    username: Username
    password: NewPassword
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
    followers_count: Count
    products_count: Count
    created: Moment
    updated: Moment
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
    new_password: NewPassword


class PasswordResetIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends who has forgotten their password."""

    email: Annotated[str, msgspec.Meta(min_length=1, max_length=254)]


class ConfirmResetIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends who got the mail."""

    token: MailedTokenText
    new_password: NewPassword


class ConfirmEmailIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody sends to prove that they read their mail."""

    token: MailedTokenText


class AcceptedOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It was taken, and nothing can be said about it."""


class TokenIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The form of a token request: user name and password, or a refresh token."""

    grant_type: Literal["password", "refresh_token"]
    client_id: FormValue
    username: OptionalFormValue | UnsetType = UNSET
    password: OptionalFormValue | UnsetType = UNSET
    refresh_token: OptionalFormValue | UnsetType = UNSET
    client_secret: OptionalFormValue | UnsetType = UNSET
    scope: Annotated[str, told(pattern="^(souk)?$")] | UnsetType = UNSET


class RevocationIn(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The form of a revocation."""

    token: FormValue
    client_id: FormValue
    token_type_hint: OptionalFormValue | UnsetType = UNSET  # RFC 7009: a hint that nobody knows is none
    client_secret: OptionalFormValue | UnsetType = UNSET


class TokenOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tokens. `expires_in` is in seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str
    scope: str


class OAuthErrorOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An error of RFC 6749, section 5.2."""

    error: str
    error_description: str | UnsetType = UNSET


class MetadataOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the token doors can do (RFC 8414)."""

    issuer: str
    token_endpoint: str
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: list[str]
    grant_types_supported: list[str]
    response_types_supported: list[str]
    scopes_supported: list[str]
    service_documentation: str


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
