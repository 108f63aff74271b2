"""Keeping a search server up to date: products that changed are marked, and marked ones are written by the worker."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import structlog
from django.db import connection

from souk.reactions.reaction import Consumer, Event
from souk.search.gateway import SearchAway
from souk.search.operations.indexing import mark_outdated, mark_products_of, write_outdated

SEARCH = Consumer(name="search", number=3, batch=100)
log = structlog.get_logger()
# How often marked products are looked for, and how long a server that is away is left alone.
LOOK_SECONDS, AWAY_SECONDS = 0.1, 1.0
HEARD_SECONDS = 1.0
# Looked at is what the clock has not found heard, a minute and what came since.
HEARD = """
INSERT INTO search_freshness AS f (id, heard)
SELECT 1, coalesce((SELECT e.created FROM eventlog_event e
                     WHERE e.id > greatest(
                               (SELECT after FROM reactions_beginning WHERE consumer = %(consumer)s),
                               (SELECT upto FROM reactions_progress WHERE consumer = %(consumer)s),
                               '00000000-0000-0000-0000-000000000000')
                       AND e.type = ANY (%(types)s)
                       AND NOT EXISTS (SELECT 1 FROM reactions_processed p
                                        WHERE p.consumer = %(consumer)s AND p.event_id = e.id)
                     ORDER BY e.id LIMIT 1), now())
    ON CONFLICT (id) DO UPDATE SET heard = excluded.heard WHERE f.heard < now() - interval '500 milliseconds'
"""
# Whoever hears for the first time begins with what an index that is made now may not have.
BEGINNING = """
INSERT INTO reactions_beginning (consumer, after)
SELECT %(consumer)s, first_uuid((extract(epoch FROM now()) * 1000)::bigint - 60000)
 WHERE NOT EXISTS (SELECT 1 FROM reactions_processed WHERE consumer = %(consumer)s)
    ON CONFLICT DO NOTHING
"""


@SEARCH.on_many("product.created", "product.changed", "product.deleted", "product.sold_out", "product.back_in_stock")
def mark_products(events: Sequence[Event]) -> None:
    """What everybody reads of them is written anew."""
    mark_outdated(event.subject_id for event in events)


@SEARCH.on_many("user.deleted", "user.locked", "user.unlocked")
def mark_products_of_sellers(events: Sequence[Event]) -> None:
    """Nobody sees what they sell any more, or everybody does again."""
    mark_products_of(sellers=[event.subject_id for event in events])


@SEARCH.on_many("staff.acted")
def mark_products_of_tags(events: Sequence[Event]) -> None:
    """A tag was renamed or deleted."""
    targets = [event.data.get("target", {}) for event in events if str(event.data.get("act", "")).startswith("tag.")]
    mark_products_of(tags=[UUID(target["id"]) for target in targets if target.get("type") == "tag"])


def write_documents() -> float:
    """Write what is marked; returns after how many seconds to look again."""
    try:
        while write_outdated():
            pass
    except SearchAway as away:
        log.warning("search.away", why=str(away))
        return AWAY_SECONDS
    return LOOK_SECONDS


def note_what_is_heard() -> float:
    """Note up to when every event has been heard: by this everybody knows how late the documents are."""
    with connection.cursor() as cursor:
        cursor.execute(HEARD, {"types": SEARCH.types(), "consumer": SEARCH.number})
    return HEARD_SECONDS


def begin_hearing() -> None:
    """Leave out the history that came before the first index."""
    with connection.cursor() as cursor:
        cursor.execute(BEGINNING, {"consumer": SEARCH.number})
