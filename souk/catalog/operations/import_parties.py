"""The sellers and tags that an import needs, made where they are missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db.backends.utils import CursorWrapper

from souk.catalog.operations.naming import usernames_for
from souk.eventlog.operations import SYSTEM
from souk.kit.entity import new_id


def ensure_sellers(cursor: CursorWrapper, *, names: Iterable[str], at: datetime) -> tuple[dict[str, UUID], int]:
    """The user of each seller's name, and how many were made.

    A made user is called by the name's slug (with a number where that is short or taken), shows the name itself, and
    cannot sign in. Once made it stays the seller of that name, whatever is done to the account: a seller of another
    import who only shows the same name is nobody's successor.
    """
    wanted = list(dict.fromkeys(names))
    cursor.execute(
        "SELECT s.name, s.user_id FROM catalog_import_seller s JOIN accounts_user u ON u.id = s.user_id"
        " WHERE s.name = ANY(%s) AND u.deleted IS NULL",
        [wanted],
    )
    found: dict[str, UUID] = dict(cursor.fetchall())
    missing = [name for name in wanted if name not in found]
    made = {name: _make_seller(cursor, name, at) for name in missing}
    if made:
        cursor.execute(
            "INSERT INTO catalog_import_seller (name, user_id) SELECT * FROM unnest(%s::text[], %s::uuid[])"
            " ON CONFLICT (name) DO UPDATE SET user_id = excluded.user_id",
            [list(made), list(made.values())],
        )
    return found | made, len(made)


def _make_seller(cursor: CursorWrapper, name: str, at: datetime) -> UUID:
    for username in usernames_for(name):
        user_id = new_id()
        cursor.execute(
            """
            WITH made AS (
                INSERT INTO accounts_user
                       (id, created, updated, last_sequence, username, display_name, bio, email, email_verified,
                        is_staff, is_active, password)
                VALUES (%(id)s, %(at)s, %(at)s, 1, %(username)s, %(name)s, '', '', false, false, true, %(password)s)
                    ON CONFLICT (lower(username)) DO NOTHING
                RETURNING id
            )
            INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)
            SELECT 'user.registered', 'user', id, 1, jsonb_build_object('username', %(username)s::text), %(actor)s,
                   ARRAY[id]
              FROM made
            RETURNING subject_id
            """,
            {
                "id": user_id,
                "at": at,
                "username": username,
                "name": name,
                "password": make_password(None),
                "actor": str(SYSTEM),
            },
        )
        if cursor.fetchone():
            return user_id
    raise AssertionError("there are user names without end")


def ensure_tags(cursor: CursorWrapper, *, names: Sequence[str], at: datetime) -> tuple[dict[str, UUID], int]:
    """The id of each tag, and how many were made. A tag that staff deleted is made anew."""
    wanted = sorted(set(names))
    cursor.execute(
        """
        INSERT INTO catalog_tag (id, created, updated, name, description)
        SELECT uuidv7(), %s, %s, name, '' FROM unnest(%s::text[]) AS wanted (name) ORDER BY name
            ON CONFLICT (name) WHERE deleted IS NULL DO NOTHING
        """,
        [at, at, wanted],
    )
    made = cursor.rowcount
    cursor.execute("SELECT name, id FROM catalog_tag WHERE name = ANY(%s) AND deleted IS NULL", [wanted])
    return dict(cursor.fetchall()), made
