"""Who may listen: a bearer token, or a ticket that stands for one. A browser's EventSource can send no header.

Kept of either is the token's checksum alone, so that a connection can be ended when its token is.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from functools import cache
from typing import cast
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection
from redis.backoff import NoBackoff
from redis.retry import Retry

from souk.kit.parsing import Shape
from souk.kit.problem import DependencyUnavailable, NotAuthenticated

TICKET_SECONDS = 60
LONGEST = 255
HOLDERS = """
    SELECT t.token_checksum, u.id
      FROM oauth2_provider_accesstoken t JOIN accounts_user u ON u.id = t.user_id
     WHERE t.token_checksum = ANY(%s) AND t.expires > clock_timestamp() AND t.created >= u.token_epoch
       AND u.is_active AND u.deleted IS NULL
"""


class TicketOut(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ticket for one live connection, good for `expires_in` seconds."""

    ticket: str
    expires_in: int


def checksum_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearer_of(header: str | None) -> str:
    """The token in an Authorization header. Raises NotAuthenticated."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST or not token.isascii():
        raise NotAuthenticated("The Authorization header takes the form: Bearer <token>.", invalid_token=bool(header))
    return token


def issue_ticket(*, checksum: str) -> str:
    """A ticket for the token with this checksum, good for one connection within a minute.

    Raises DependencyUnavailable.
    """
    ticket = secrets.token_urlsafe(32)
    try:
        _cache(settings.CACHE_URL).set(_key(ticket), checksum, ex=TICKET_SECONDS)
    except (redis.RedisError, OSError) as error:
        raise DependencyUnavailable("Tickets cannot be kept for the moment.") from error
    return ticket


def redeem_ticket(ticket: str) -> str:
    """The checksum of the token that a ticket stands for; the ticket is used up.

    Raises NotAuthenticated, DependencyUnavailable.
    """
    try:
        checksum = cast("bytes | None", _cache(settings.CACHE_URL).getdel(_key(ticket)))
    except (redis.RedisError, OSError) as error:
        raise DependencyUnavailable("Tickets cannot be read for the moment.") from error
    if checksum is None:
        raise NotAuthenticated("The ticket is unknown, was used, or is older than a minute.", invalid_token=True)
    return checksum.decode()


def holders_of(checksums: Collection[str]) -> dict[str, UUID]:
    """Of these tokens those that are good at the moment, each with the user that it stands for."""
    with connection.cursor() as cursor:
        cursor.execute(HOLDERS, [list(checksums)])
        return dict(cursor.fetchall())


def _key(ticket: str) -> str:
    return f"souk:ticket:{checksum_of(ticket)}"


@cache
def _cache(url: str) -> redis.Redis:
    if not url:
        raise redis.ConnectionError("SOUK_CACHE_URL is not set")
    # Once more: the connection may be older than the server.
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 1))
