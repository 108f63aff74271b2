"""One effect per Idempotency-Key: key, answer and effect commit together, or none of them does."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.http import HttpResponse
from rest_framework.request import Request

from souk.kit.parsing import body_of
from souk.kit.problem import MalformedRequest, Refused, rendered

KEY = re.compile(r'"(?P<quoted>[\x20-\x21\x23-\x7e]{1,255})"|(?P<bare>[\x20-\x21\x23-\x7e]{1,255})')
TOLD_BEFORE_400 = frozenset({401, 403, 404, 415})
KEPT_HEADERS = ("Content-Type", "Location", "ETag")


class SaidOnce(HttpResponse):
    """An answer with a secret in it. What is kept for a replay is `kept`, which has none."""

    kept: bytes = b""


class IdempotencyInProgress(Refused):
    """A request with this key is being answered right now."""

    status, code, title = 409, "idempotency_in_progress", "The same request is being answered"

    def __init__(self) -> None:
        super().__init__("Ask again in a second.", headers={"Retry-After": "1"})


class IdempotencyKeyReused(Refused):
    """The key stands for another request."""

    status, code, title = 422, "idempotency_key_reused", "This Idempotency-Key belongs to another request"


def key_of(request: Request) -> str | None:
    """The Idempotency-Key, bare or quoted, without its quotes. Raises MalformedRequest."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    found = KEY.fullmatch(header)
    if not found:
        raise MalformedRequest("Idempotency-Key takes 1 to 255 printable ASCII characters.")
    return found["quoted"] or found["bare"]


def under_key(*, user_id: UUID, request: Request, handler: Callable[[], HttpResponse]) -> Callable[[], HttpResponse]:
    """The handler, held to the request's Idempotency-Key if it has one.

    A key that is none is told like any other fault of the request (400): after 401, 403, 404 and 415. To know whether
    one of those is due the handler runs, and all that it did is rolled back.
    """
    try:
        key = key_of(request)
    except MalformedRequest as malformed:
        return partial(_refuse, malformed, handler)
    if key is None:
        return handler
    return partial(answer_once, user_id=user_id, key=key, request=request, handler=handler)


def _refuse(malformed: MalformedRequest, handler: Callable[[], HttpResponse]) -> HttpResponse:
    try:
        handler()
    except Refused as refused:
        if refused.status in TOLD_BEFORE_400:
            raise
    raise malformed


def answer_once(*, user_id: UUID, key: str, request: Request, handler: Callable[[], HttpResponse]) -> HttpResponse:
    """The handler's answer, or the one given before under this key. Must run inside the request's transaction.

    A refusal of the kind "not in this state of the world" (409) is an answer too and is kept; what the request itself
    got wrong (400, 401, 403, 404, 412, 415, 429) is raised, and leaves nothing behind.
    """
    body = body_of(request)
    media = (request.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower() if body else ""
    asked = [request.method or "", request.get_full_path(), media]
    fingerprint = hashlib.sha256(b"\0".join([*(one.encode() for one in asked), body])).digest()
    with connection.cursor() as cursor:
        if (given := _given_before(cursor, user_id, key)) is not None:
            return _replay(given, fingerprint)
        try:
            with transaction.atomic():
                answer = handler()
        except Refused as refused:
            if refused.status != 409:
                raise
            answer = rendered(refused)
        if answer.status_code == 409 or 200 <= answer.status_code < 300:
            _keep(cursor, user_id, key, fingerprint, answer)
        return answer


def _given_before(cursor: CursorWrapper, user_id: UUID, key: str) -> tuple[Any, ...] | None:
    # Two statements: the second one sees what the holder of the lock committed just before it let go.
    cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 20))", [f"{user_id} {key}"])
    if cursor.fetchone() != (True,):
        raise IdempotencyInProgress
    cursor.execute(
        "SELECT fingerprint, status, headers, body FROM kit_idempotentanswer WHERE user_id = %s AND key = %s",
        [user_id, key],
    )
    row: tuple[Any, ...] | None = cursor.fetchone()
    return row


def _replay(given: tuple[Any, ...], fingerprint: bytes) -> HttpResponse:
    kept, status, headers, body = given
    if bytes(kept) != fingerprint:
        raise IdempotencyKeyReused
    return HttpResponse(bytes(body), status=status, headers={**json.loads(headers), "Idempotent-Replayed": "true"})


def _keep(cursor: CursorWrapper, user_id: UUID, key: str, fingerprint: bytes, answer: HttpResponse) -> None:
    headers = {name: answer[name] for name in KEPT_HEADERS if name in answer}
    kept = answer.kept if isinstance(answer, SaidOnce) else answer.content
    cursor.execute(
        "INSERT INTO kit_idempotentanswer (user_id, key, fingerprint, status, headers, body)"
        " VALUES (%s, %s, %s, %s, %s::jsonb, %s)",
        [user_id, key, fingerprint, answer.status_code, json.dumps(headers), kept],
    )
