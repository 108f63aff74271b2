"""What the clock throws away: tokens that nobody can use any more, in small steps that pass over locked rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

# The toolkit judges a refresh token by its access token: dead so long after that one expired. A used refresh token is
# kept as long, since it is what tells a replay.
STEPS = (
    """
    WITH dead AS (
        SELECT id FROM oauth2_provider_refreshtoken
         WHERE revoked IS NOT NULL AND revoked <= clock_timestamp() - %(life)s
         LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ), unlinked AS (
        UPDATE oauth2_provider_accesstoken SET source_refresh_token_id = NULL
         WHERE source_refresh_token_id IN (SELECT id FROM dead)
    )
    DELETE FROM oauth2_provider_refreshtoken WHERE id IN (SELECT id FROM dead)
    """,
    """
    WITH dead AS (
        SELECT id FROM oauth2_provider_refreshtoken
         WHERE revoked IS NULL AND access_token_id IS NULL LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ), unlinked AS (
        UPDATE oauth2_provider_accesstoken SET source_refresh_token_id = NULL
         WHERE source_refresh_token_id IN (SELECT id FROM dead)
    )
    DELETE FROM oauth2_provider_refreshtoken WHERE id IN (SELECT id FROM dead)
    """,
    """
    WITH dead AS (
        SELECT r.id FROM oauth2_provider_accesstoken a
          JOIN oauth2_provider_refreshtoken r ON r.access_token_id = a.id
         WHERE a.expires <= clock_timestamp() - %(life)s
         LIMIT %(limit)s FOR UPDATE OF r SKIP LOCKED
    ), unlinked AS (
        UPDATE oauth2_provider_accesstoken SET source_refresh_token_id = NULL
         WHERE source_refresh_token_id IN (SELECT id FROM dead)
    )
    DELETE FROM oauth2_provider_refreshtoken WHERE id IN (SELECT id FROM dead)
    """,
    """
    DELETE FROM oauth2_provider_accesstoken WHERE id IN (
        SELECT a.id FROM oauth2_provider_accesstoken a
         WHERE a.expires <= clock_timestamp()
           AND NOT EXISTS (SELECT FROM oauth2_provider_refreshtoken r WHERE r.access_token_id = a.id)
         LIMIT %(limit)s FOR UPDATE OF a SKIP LOCKED
    )
    """,
    """
    DELETE FROM oauth2_provider_grant WHERE id IN (
        SELECT id FROM oauth2_provider_grant WHERE expires <= clock_timestamp() LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    """,
    """
    DELETE FROM accounts_mailedtoken WHERE checksum IN (
        SELECT checksum FROM accounts_mailedtoken WHERE expires <= clock_timestamp()
         LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    """,
)


def purge_dead_tokens(*, limit: int = 1000) -> int:
    """Delete up to `limit` dead rows of each kind, each kind in a transaction of its own; returns how many went.

    Call it again while it returns `limit` or more. For the clock; must not run inside a transaction.
    """
    life = timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)
    parameters: dict[str, Any] = {"life": life, "limit": limit}
    gone = 0
    for step in STEPS:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(step, parameters)
            gone += cursor.rowcount
    return gone
