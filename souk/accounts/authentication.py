"""Who is asking: the bearer check of the API, and the password check behind the token door."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from souk.accounts.models import User
from souk.kit.postgresql.prepared import prepared_rows
from souk.kit.problem import Forbidden, NotAuthenticated

LONGEST_TOKEN = 255
COLUMNS = ("id", "username", "display_name", "is_staff")
# One indexed query. The database's clock decides what has expired.
CALLER_OF_TOKEN = """
    SELECT u.id, u.username, u.display_name, u.is_staff
      FROM oauth2_provider_accesstoken t JOIN accounts_user u ON u.id = t.user_id
     WHERE t.token_checksum = %(checksum)s AND t.expires > clock_timestamp() AND t.created >= u.token_epoch
       AND u.is_active AND u.deleted IS NULL
"""


class BearerToken(BaseAuthentication):
    """`Authorization: Bearer <opaque token>`. Reads the header alone, never the body."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        """The caller, or None without a header. Raises NotAuthenticated for a header that names nobody."""
        header = request._request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN or not token.isascii():
            raise NotAuthenticated("The Authorization header takes the form: Bearer <token>.", invalid_token=True)
        rows = prepared_rows(CALLER_OF_TOKEN, {"checksum": hashlib.sha256(token.encode()).hexdigest()})
        if not rows:
            raise NotAuthenticated("The access token is unknown, has expired, or was ended.", invalid_token=True)
        return User.from_db("default", COLUMNS, rows[0]), None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="souk"'


def signed_in(request: Request) -> User:
    """The caller, known by id, names and whether they are staff. Raises NotAuthenticated for a stranger."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def signed_in_staff(request: Request) -> User:
    """The caller, a member of the staff. Raises NotAuthenticated, Forbidden."""
    user = signed_in(request)
    if not user.is_staff:
        raise Forbidden("Only the staff of the market may do this.")
    return user


class PasswordBackend(ModelBackend):
    """User name, whatever its case, and password of an account in good standing. Permissions are Django's own."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **rest: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        user: User | None = User.objects.named(username).first()
        if user is None:
            # The same work as for a known name, so that the time does not tell which names exist.
            User().set_password(password)
            return None
        return user if user.check_password(password) and user.is_active else None

    def get_user(self, user_id: Any) -> User | None:
        found: User | None = User.objects.in_good_standing().filter(pk=user_id).first()
        return found
