"""What the clock throws away: tokens that nobody can use any more, in small steps that pass over locked rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import connection, transaction

# The toolkit judges a refresh token by its access token: dead so long after that one expired. A used refresh token is
# kept as long, since it is what tells a replay. `now()` and not the clock: an index can be searched by it alone.
REFRESH_TOKENS = """
    WITH dead AS (
        SELECT r.id, r.access_token_id FROM {those} LIMIT %(limit)s FOR UPDATE OF r SKIP LOCKED
    ), unlinked AS (
        UPDATE oauth2_provider_accesstoken SET source_refresh_token_id = NULL
         WHERE source_refresh_token_id IN (SELECT id FROM dead) AND id NOT IN (
               SELECT access_token_id FROM dead WHERE access_token_id IS NOT NULL)
    ), partners AS (
        DELETE FROM oauth2_provider_accesstoken WHERE id IN (SELECT access_token_id FROM dead) RETURNING id
    ), gone AS (
        DELETE FROM oauth2_provider_refreshtoken WHERE id IN (SELECT id FROM dead) RETURNING id
    )
    SELECT (SELECT count(*) FROM partners) + (SELECT count(*) FROM gone)
"""
EXPIRED = """
    WITH gone AS (
        DELETE FROM {table} WHERE {key} IN (
            SELECT {key} FROM {table} WHERE expires <= now() LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        ) RETURNING 1
    )
    SELECT count(*) FROM gone
"""
STEPS = (
    REFRESH_TOKENS.format(
        those="oauth2_provider_refreshtoken r WHERE r.revoked IS NOT NULL AND r.revoked <= now() - %(life)s"
    ),
    REFRESH_TOKENS.format(those="oauth2_provider_refreshtoken r WHERE r.revoked IS NULL AND r.access_token_id IS NULL"),
    REFRESH_TOKENS.format(
        those="oauth2_provider_accesstoken a JOIN oauth2_provider_refreshtoken r ON r.access_token_id = a.id"
        " WHERE a.expires <= now() - %(life)s"
    ),
    EXPIRED.format(table="oauth2_provider_grant", key="id"),
    EXPIRED.format(table="accounts_mailedtoken", key="checksum"),
)
# Expired access tokens without a refresh token are few, and hidden among many that still have one: so many are looked
# at for each one of the limit, and the next call goes on where this one ended.
LOOKED_AT = 20
STRAYS = """
    WITH looked AS (
        SELECT id, expires FROM oauth2_provider_accesstoken
         WHERE expires <= now() AND (expires, id) > (%(expires)s::timestamptz, %(id)s)
         ORDER BY expires, id LIMIT %(window)s
    ), strays AS MATERIALIZED (
        SELECT id FROM looked
         WHERE NOT EXISTS (SELECT FROM oauth2_provider_refreshtoken r WHERE r.access_token_id = looked.id)
    ), gone AS (
        DELETE FROM oauth2_provider_accesstoken WHERE id IN (
            SELECT id FROM oauth2_provider_accesstoken WHERE id IN (SELECT id FROM strays) FOR UPDATE SKIP LOCKED
        ) RETURNING 1
    )
    SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM looked), expires::text, id
      FROM looked ORDER BY looked.expires DESC, looked.id DESC LIMIT 1
"""
BEGINNING = ("-infinity", 0)


class Walk:
    """Where this process will look for stray access tokens next."""

    after: ClassVar[tuple[str, int]] = BEGINNING


def purge_dead_tokens(*, limit: int = 1000) -> int:
    """Delete up to `limit` dead tokens of each kind, with their partners; returns how many rows went.

    Each kind goes in a transaction of its own. Call it again while it returns `limit` or more. For the clock; must not
    run inside a transaction.
    """
    life = timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)
    parameters: dict[str, Any] = {"life": life, "limit": limit}
    gone = 0
    for step in STEPS:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(step, parameters)
            gone += cursor.fetchone()[0]
    return gone + _purge_strays(limit * LOOKED_AT)


def purge_old_sessions(*, limit: int = 1000) -> int:
    """Delete up to `limit` ended sessions of the pages for staff; returns how many went. For the clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM django_session WHERE session_key IN (SELECT session_key FROM django_session"
            " WHERE expire_date < now() ORDER BY expire_date LIMIT %s FOR UPDATE SKIP LOCKED)",
            [limit],
        )
        return int(cursor.rowcount)


def _purge_strays(window: int) -> int:
    expires, last_id = Walk.after
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(STRAYS, {"expires": expires, "id": last_id, "window": window})
        row: tuple[int, int, str, int] = cursor.fetchone() or (0, 0, *BEGINNING)
    gone, looked, expires, last_id = row
    Walk.after = (expires, last_id) if looked == window else BEGINNING
    return gone
