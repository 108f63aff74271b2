"""The contract of the doors of accounts and tokens: what each says of itself. The API never loads it."""

from __future__ import annotations

from collections.abc import Mapping

from souk.accounts.operations import OwnAccount, UsernameTaken
from souk.accounts.serializers import (
    AcceptedOut,
    ChangePasswordIn,
    ConfirmEmailIn,
    ConfirmResetIn,
    DeleteAccountIn,
    MetadataOut,
    OAuthErrorOut,
    OwnUserOut,
    PasswordResetIn,
    ProfileChange,
    RegisterIn,
    RevocationIn,
    TokenIn,
    TokenOut,
    UserOut,
    UsersOut,
    UsersQuery,
)
from souk.kit.described import Description, Link
from souk.kit.parsing import Nothing, Page
from souk.kit.ratelimit import RateLimited

OAUTH_FAILURES = {
    400: "The request is malformed, or the grant is no good.",
    401: "The client is not known.",
}

DOORS: Mapping[str, Description] = {
    "Users.get": Description(
        name="find_user",
        summary="Find a user by name",
        tag="Accounts",
        caller="anyone",
        query=UsersQuery,
        answer=UsersOut,
        text="A list of none or one. The case of the name makes no difference.",
    ),
    "Users.post": Description(
        name="register_user",
        summary="Open an account",
        tag="Accounts",
        caller="anyone",
        body=RegisterIn,
        answer=OwnUserOut,
        status=201,
        refuses=(UsernameTaken,),
        links={
            "get_user": Link(operation="get_user", parameters={"user_id": "$response.body#/id"}),
            "get_user_products": Link(operation="list_user_products", parameters={"user_id": "$response.body#/id"}),
        },
        text="With an e-mail address a mail is sent to verify it. Names of deleted users are not given out again.",
    ),
    "OneUser.get": Description(
        name="get_user",
        summary="Show a user",
        tag="Accounts",
        caller="anyone",
        answer=UserOut,
    ),
    "Following.put": Description(
        name="follow_user",
        summary="Follow a user",
        tag="Accounts",
        caller="user",
        body=Nothing,
        status=204,
        refuses=(OwnAccount,),
        text="Repeatable.",
    ),
    "Following.delete": Description(
        name="unfollow_user",
        summary="Follow a user no more",
        tag="Accounts",
        caller="user",
        status=204,
        refuses=(OwnAccount,),
        text="Repeatable.",
    ),
    "Followers.get": Description(
        name="list_followers",
        summary="List who follows a user",
        tag="Accounts",
        caller="anyone",
        query=Page,
        answer=UsersOut,
        text="Who followed last comes first.",
    ),
    "Me.get": Description(
        name="get_me",
        summary="Show the caller's own account",
        tag="Accounts",
        caller="user",
        answer=OwnUserOut,
    ),
    "Me.patch": Description(
        name="change_me",
        summary="Change the caller's own profile",
        tag="Accounts",
        caller="user",
        body=ProfileChange,
        answer=OwnUserOut,
        text="What is left out stays. A null e-mail removes it; a new one gets a mail to verify it.",
    ),
    "MyFollowing.get": Description(
        name="list_following",
        summary="List whom the caller follows",
        tag="Accounts",
        caller="user",
        query=Page,
        answer=UsersOut,
        text="Whom the caller followed last comes first.",
    ),
    "Deletion.post": Description(
        name="delete_me",
        summary="Close the caller's own account",
        tag="Accounts",
        caller="user",
        body=DeleteAccountIn,
        status=204,
        text=(
            "A wrong password is `validation_failed` at `/password`. Products are hidden at once; orders "
            "that were held "
            "before stand."
        ),
    ),
    "Password.post": Description(
        name="change_password",
        summary="Change the caller's own password",
        tag="Accounts",
        caller="user",
        body=ChangePasswordIn,
        status=204,
        text="Every token of the user ends. A wrong current password is `validation_failed` at its pointer.",
    ),
    "PasswordResets.post": Description(
        name="request_password_reset",
        summary="Ask for a mail to set a new password",
        tag="Accounts",
        caller="anyone",
        body=PasswordResetIn,
        answer=AcceptedOut,
        status=202,
        text="The answer is the same whether there is such an account or not.",
    ),
    "PasswordResetConfirmation.post": Description(
        name="reset_password",
        summary="Set a new password with a mailed token",
        tag="Accounts",
        caller="anyone",
        body=ConfirmResetIn,
        status=204,
        text="An unknown or used token is `validation_failed` at `/token`.",
    ),
    "EmailConfirmation.post": Description(
        name="verify_email",
        summary="Verify an e-mail address with a mailed token",
        tag="Accounts",
        caller="anyone",
        body=ConfirmEmailIn,
        status=204,
        text="An unknown or used token is `validation_failed` at `/token`.",
    ),
    "token": Description(
        name="issue_token",
        summary="Sign in, or refresh",
        tag="Tokens",
        caller="anyone",
        method="POST",
        form=TokenIn,
        answer=TokenOut,
        failure=OAuthErrorOut,
        limited=True,
        failures={**OAUTH_FAILURES, 429: "Too many tries.", 503: "Sign-in is not possible for the moment."},
        text=(
            "RFC 6749 with `grant_type=password` or `refresh_token`. A refresh token is good once; used again, it ends "
            "every token of its family."
        ),
    ),
    "revoke": Description(
        name="revoke_token",
        summary="End a token",
        tag="Tokens",
        caller="anyone",
        method="POST",
        form=RevocationIn,
        failure=OAuthErrorOut,
        limited=True,
        failures={**OAUTH_FAILURES, 429: "Too many requests.", 503: "The database is away."},
        text="RFC 7009: an unknown token is answered like a known one.",
    ),
    "Metadata.get": Description(
        name="get_oauth_metadata",
        summary="What the token doors can do",
        tag="Tokens",
        caller="anyone",
        answer=MetadataOut,
        limited=True,
        refuses=(RateLimited,),
        text="RFC 8414.",
    ),
}
