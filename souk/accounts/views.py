"""The doors of accounts and tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from souk.accounts.authentication import signed_in
from souk.accounts.models import Follow, User
from souk.accounts.operations import (
    change_password,
    change_profile,
    delete_account,
    follow_user,
    register_user,
    request_password_reset,
    reset_password,
    unfollow_user,
    verify_email,
)
from souk.accounts.serializers import (
    AcceptedOut,
    ChangePasswordIn,
    ConfirmEmailIn,
    ConfirmResetIn,
    DeleteAccountIn,
    PasswordResetIn,
    ProfileChange,
    RegisterIn,
    UsersOut,
    UsersQuery,
    own_user_out,
    user_out,
)
from souk.accounts.tokens import TokenRefused, issue_token, read_form, revoke_token, token_error
from souk.kit.cursor import BadCursor, decode_cursor, link_next, paged
from souk.kit.door import Door, PlainDoor, answer, created, no_content
from souk.kit.parsing import Nothing, Page, parsed, query_of
from souk.kit.problem import NotFound, Refused, refusal_of
from souk.kit.ratelimit import RequestThrottle, Use, address_of, use

GUESS_COST = 5
OAUTH_ERRORS = {400: "invalid_request", 503: "temporarily_unavailable"}


class RegistrationThrottle(BaseThrottle):
    """What strangers may do that costs a hash, a row or a mail, per address."""

    def allow_request(self, request: Request, view: Any) -> bool:
        use(request._request, Use("registrations", address_of(request._request)), needed=True)
        return True


class GuessThrottle(BaseThrottle):
    """A password that is sent to prove who asks, per account: a stolen token must not find it out.

    A body that does not have the shape `proof` of the view is refused first: it guesses nothing.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        if request.user and request.method == "POST":
            parsed(view.proof, request)
            name = request.user.username.lower()
            use(request._request, Use("sign-in-account", name, cost=GUESS_COST), needed=True)
        return True


class StrangersDoor(Door):
    """A door that strangers may post to: limited by their address, and there is nobody whose key it could be."""

    idempotent = False
    throttle_classes = [RequestThrottle, RegistrationThrottle]


class Users(StrangersDoor):
    """`GET`, `POST /users`."""

    queried = True

    def get_throttles(self) -> list[BaseThrottle]:
        return [RequestThrottle(), RegistrationThrottle()] if self.request.method == "POST" else [RequestThrottle()]

    def get(self, request: Request) -> HttpResponse:
        asked = query_of(UsersQuery, request)
        if asked.cursor is not None:
            raise BadCursor  # of a list of one page none was ever given out
        found = User.objects.in_good_standing().named(asked.username).counted().seen_by(_caller_id(request))
        return answer(UsersOut(results=[user_out(user) for user in found], next=None))

    def post(self, request: Request) -> HttpResponse:
        asked = parsed(RegisterIn, request)
        user = register_user(
            username=asked.username,
            password=asked.password,
            email=asked.email or "",
            display_name=asked.display_name,
        )
        return created(own_user_out(_own(user)), location=f"/api/v1/users/{user.pk}")


class OneUser(Door):
    """`GET /users/{id}`."""

    def get(self, request: Request, user_id: UUID) -> HttpResponse:
        user = User.objects.in_good_standing().filter(pk=user_id).counted().seen_by(_caller_id(request)).first()
        if user is None:
            raise NotFound
        return answer(user_out(user))


class Following(Door):
    """`PUT`, `DELETE /users/{id}/follow`."""

    def put(self, request: Request, user_id: UUID) -> HttpResponse:
        follower = signed_in(request)
        parsed(Nothing, request)
        follow_user(follower=follower, followed_id=user_id)
        return no_content()

    def delete(self, request: Request, user_id: UUID) -> HttpResponse:
        unfollow_user(follower=signed_in(request), followed_id=user_id)
        return no_content()


class Followers(Door):
    """`GET /users/{id}/followers`, who followed last first."""

    queried = True

    def get(self, request: Request, user_id: UUID) -> HttpResponse:
        asked = query_of(Page, request)
        if not User.objects.in_good_standing().filter(pk=user_id).exists():
            raise NotFound
        return _follows(request, asked, "followers", "follower", Follow.objects.filter(followed_id=user_id))


class Me(Door):
    """`GET`, `PATCH /me`."""

    def get(self, request: Request) -> HttpResponse:
        return answer(own_user_out(_own(signed_in(request))))

    def patch(self, request: Request) -> HttpResponse:
        user = signed_in(request)
        change_profile(user=user, **parsed(ProfileChange, request).sent())
        return answer(own_user_out(_own(user)))


class MyFollowing(Door):
    """`GET /me/following`, whom the caller followed last first."""

    queried = True

    def get(self, request: Request) -> HttpResponse:
        caller = signed_in(request)
        asked = query_of(Page, request)
        return _follows(request, asked, "following", "followed", Follow.objects.filter(follower=caller))


class Deletion(Door):
    """`POST /me/delete`."""

    throttle_classes = [RequestThrottle, GuessThrottle]
    proof = DeleteAccountIn

    def post(self, request: Request) -> HttpResponse:
        user = signed_in(request)
        delete_account(user=user, password=parsed(self.proof, request).password)
        return no_content()


class Password(Door):
    """`POST /me/password`."""

    idempotent = False
    throttle_classes = [RequestThrottle, GuessThrottle]
    proof = ChangePasswordIn

    def post(self, request: Request) -> HttpResponse:
        user = signed_in(request)
        asked = parsed(self.proof, request)
        change_password(user=user, current_password=asked.current_password, new_password=asked.new_password)
        return no_content()


class PasswordResets(StrangersDoor):
    """`POST /password-resets`."""

    def post(self, request: Request) -> HttpResponse:
        request_password_reset(email=parsed(PasswordResetIn, request).email)
        return answer(AcceptedOut(), status=202)


class PasswordResetConfirmation(StrangersDoor):
    """`POST /password-resets/confirm`."""

    def post(self, request: Request) -> HttpResponse:
        asked = parsed(ConfirmResetIn, request)
        reset_password(token=asked.token, new_password=asked.new_password)
        return no_content()


class EmailConfirmation(StrangersDoor):
    """`POST /email-verifications/confirm`."""

    def post(self, request: Request) -> HttpResponse:
        verify_email(token=parsed(ConfirmEmailIn, request).token)
        return no_content()


@csrf_exempt
def token(request: HttpRequest) -> HttpResponse:
    """`POST /oauth/token` (RFC 6749)."""
    return _oauth(request, issue_token)


@csrf_exempt
def revoke(request: HttpRequest) -> HttpResponse:
    """`POST /oauth/revoke` (RFC 7009)."""
    return _oauth(request, revoke_token)


class Metadata(PlainDoor):
    """`GET /.well-known/oauth-authorization-server` (RFC 8414)."""

    def get(self, request: HttpRequest) -> HttpResponse:
        use(request, Use("reads", address_of(request)))
        issuer = request.build_absolute_uri("/").rstrip("/")
        methods = ["none", "client_secret_basic", "client_secret_post"]
        return answer(
            {
                "issuer": issuer,
                "token_endpoint": f"{issuer}/oauth/token",
                "token_endpoint_auth_methods_supported": methods,
                "revocation_endpoint": f"{issuer}/oauth/revoke",
                "revocation_endpoint_auth_methods_supported": methods,
                "grant_types_supported": [*(["password"] if settings.PASSWORD_GRANT else []), "refresh_token"],
                "response_types_supported": [],
                "scopes_supported": ["souk"],
                "service_documentation": f"{issuer}/api/v1/docs",
            }
        )


def _oauth(request: HttpRequest, operation: Callable[[HttpRequest, dict[str, str]], HttpResponse]) -> HttpResponse:
    if request.method != "POST":
        return token_error("invalid_request", "Use POST.", status=405, headers={"Allow": "POST"})
    try:
        return operation(request, read_form(request))
    except TokenRefused as refused:
        return token_error(refused.error, refused.detail, status=refused.status, headers=refused.headers)
    except (Refused, DatabaseError, InterfaceError) as error:
        told = refusal_of(error)
        code = OAUTH_ERRORS.get(told.status, told.code)
        return token_error(code, told.detail, status=told.status, headers=told.headers)


def _follows(request: Request, asked: Page, list_name: str, shown: str, follows: QuerySet[Follow]) -> HttpResponse:
    follows = follows.filter(**{f"{shown}__is_active": True, f"{shown}__deleted__isnull": True})
    if asked.cursor is not None:
        follows = follows.filter(id__lt=decode_cursor(list_name, asked.cursor, UUID))
    rows = list(follows.order_by("-id").values_list("id", f"{shown}_id")[: asked.limit + 1])
    page, following = paged(rows, asked.limit, list_name=list_name, key=lambda row: row[0])
    ids = [user_id for _, user_id in page]
    users = User.objects.in_good_standing().filter(pk__in=ids).counted().seen_by(_caller_id(request)).in_bulk()
    out = UsersOut(results=[user_out(users[one]) for one in ids if one in users], next=following)
    return link_next(request, answer(out), following)


def _caller_id(request: Request) -> UUID | None:
    return request.user.pk if request.user else None


def _own(user: User) -> User:
    own: User = User.objects.counted().get(pk=user.pk)
    return own
