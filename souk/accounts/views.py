"""The doors of accounts and tokens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.request import Request

from souk.accounts.authentication import signed_in
from souk.accounts.models import User
from souk.accounts.operations import change_profile, register_user
from souk.accounts.serializers import ProfileChange, RegisterIn, UsersOut, UsersQuery, own_user_out, user_out
from souk.accounts.tokens import TokenRefused, issue_token, read_form, revoke_token, token_error
from souk.kit.door import Door, answer, created
from souk.kit.parsing import parsed, query_of
from souk.kit.problem import NotFound, Refused


class Users(Door):
    """`GET`, `POST /users`."""

    def get(self, request: Request) -> HttpResponse:
        asked = query_of(UsersQuery, request)
        found = User.objects.in_good_standing().named(asked.username).counted()
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
        user = User.objects.in_good_standing().filter(pk=user_id).counted().first()
        if user is None:
            raise NotFound
        return answer(user_out(user))


class Me(Door):
    """`GET`, `PATCH /me`."""

    def get(self, request: Request) -> HttpResponse:
        return answer(own_user_out(_own(signed_in(request))))

    def patch(self, request: Request) -> HttpResponse:
        user = signed_in(request)
        change_profile(user=user, **parsed(ProfileChange, request).sent())
        return answer(own_user_out(_own(user)))


@csrf_exempt
def token(request: HttpRequest) -> HttpResponse:
    """`POST /oauth/token` (RFC 6749)."""
    return _oauth(request, issue_token)


@csrf_exempt
def revoke(request: HttpRequest) -> HttpResponse:
    """`POST /oauth/revoke` (RFC 7009)."""
    return _oauth(request, revoke_token)


def metadata(request: HttpRequest) -> HttpResponse:
    """`GET /.well-known/oauth-authorization-server` (RFC 8414)."""
    issuer = request.build_absolute_uri("/").rstrip("/")
    methods = ["none", "client_secret_basic", "client_secret_post"]
    return answer(
        {
            "issuer": issuer,
            "token_endpoint": f"{issuer}/oauth/token",
            "token_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": f"{issuer}/oauth/revoke",
            "revocation_endpoint_auth_methods_supported": methods,
            "grant_types_supported": ["password", "refresh_token"],
            "response_types_supported": [],
            "scopes_supported": ["souk"],
            "service_documentation": f"{issuer}/docs",
        }
    )


def _oauth(request: HttpRequest, operation: Any) -> HttpResponse:
    if request.method != "POST":
        return token_error("invalid_request", "Use POST.", status=405, headers={"Allow": "POST"})
    try:
        return operation(request, read_form(request))
    except TokenRefused as refused:
        return token_error(refused.error, refused.detail, status=refused.status, headers=refused.headers)
    except DataError:
        return token_error("invalid_request", "A value cannot be stored.")
    except Refused as refused:
        return token_error(refused.code, refused.detail, status=refused.status, headers=refused.headers)


def _own(user: User) -> User:
    own: User = User.objects.counted().get(pk=user.pk)
    return own
