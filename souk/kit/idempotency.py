"""One effect per Idempotency-Key: key, answer and effect commit together, or none of them does."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request

from souk.kit.parsing import body_of
from souk.kit.postgresql.prepared import prepared_at_commit, prepared_rows
from souk.kit.problem import MalformedRequest, Refused, rendered

KEY = re.compile(r'"(?P<quoted>[\x20-\x21\x23-\x7e]{1,255})"|(?P<bare>[\x20-\x21\x23-\x7e]{1,255})')
TOLD_BEFORE_400 = frozenset({401, 403, 404, 415})
KEPT_HEADERS = ("Content-Type", "Location", "ETag")
TAKE = "SELECT is_mine, fingerprint, status, headers, body FROM take_idempotency_key(%(user)s::uuid, %(key)s::text)"
KEEP = """
    INSERT INTO kit_idempotentanswer (user_id, key, fingerprint, status, headers, body)
    VALUES (%(user)s, %(key)s, %(fingerprint)s, %(status)s, %(headers)s::jsonb, %(body)s)
"""


class SaidOnce(HttpResponse):
    """An answer with a secret in it. What is kept for a replay is `kept`, which has none."""

    kept: bytes = b""


class IdempotencyInProgress(Refused):
    """A request with this Idempotency-Key is being answered right now."""

    advice = "Ask again in a second, with the same key: you will hear the answer of the first one."

    status, code, title = 409, "idempotency_in_progress", "The same request is being answered"

    def __init__(self) -> None:
        super().__init__("Ask again in a second.", headers={"Retry-After": "1"})


class IdempotencyKeyReused(Refused):
    """The Idempotency-Key was used before, for a request with another address or another body."""

    advice = "Make a new key for every new request, and use the old one only to repeat the very same request."

    status, code, title = 422, "idempotency_key_reused", "This Idempotency-Key belongs to another request"


def key_of(request: Request) -> str | None:
    """The Idempotency-Key, bare or quoted, without its quotes. Raises MalformedRequest."""
    header = request._request.META.get("HTTP_IDEMPOTENCY_KEY")
    if header is None:
        return None
    found = KEY.fullmatch(header)
    if not found:
        raise MalformedRequest("Idempotency-Key takes 1 to 255 printable ASCII characters.")
    return found["quoted"] or found["bare"]


def under_key(*, user_id: UUID, request: Request, handler: Callable[[], HttpResponse]) -> Callable[[], HttpResponse]:
    """The handler in one transaction, held to the request's Idempotency-Key if it has one.

    A key that is none is told like any other fault of the request (400): after 401, 403, 404 and 415. To know whether
    one of those is due the handler runs, and all that it did is rolled back.
    """
    try:
        key = key_of(request)
    except MalformedRequest as malformed:
        return transaction.atomic(durable=True)(partial(refuse, malformed, handler))
    if key is None:
        return transaction.atomic(durable=True)(handler)
    return partial(answer_once, user_id=user_id, key=key, request=request, handler=handler)


def refuse(malformed: MalformedRequest, handler: Callable[[], HttpResponse]) -> HttpResponse:
    """Raise what is wrong with the request, or what is told before it. What the handler did must be rolled back."""
    try:
        handler()
    except Refused as refused:
        if refused.status in TOLD_BEFORE_400:
            raise
    raise malformed


def answer_once(*, user_id: UUID, key: str, request: Request, handler: Callable[[], HttpResponse]) -> HttpResponse:
    """The handler's answer, or the one given before under this key. Runs its own transaction.

    A refusal of the kind "not in this state of the world" (409) is an answer too and is kept; what the request itself
    got wrong (400, 401, 403, 404, 412, 415, 429) is raised, and leaves nothing behind.
    """
    body = body_of(request)
    plain = request._request
    media = (plain.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower() if body else ""
    asked = [plain.method or "", plain.get_full_path(), media]
    fingerprint = hashlib.sha256(b"\0".join([*(one.encode() for one in asked), body])).digest()
    try:
        return _answer_unless_given(user_id, key, fingerprint, handler)
    except IdempotencyInProgress:
        raise
    except Refused as refused:
        if refused.status != 409:
            raise
        answer = rendered(refused)
    # What the handler had done went with its transaction: the refusal is kept in one of its own. A savepoint would cost
    # every order that is not refused two round trips. Whoever came between has an answer by now, and it stands.
    return _answer_unless_given(user_id, key, fingerprint, lambda: answer)


def _answer_unless_given(
    user_id: UUID, key: str, fingerprint: bytes, handler: Callable[[], HttpResponse]
) -> HttpResponse:
    """One transaction: take the key, look up what was answered under it, else answer and keep that."""
    with transaction.atomic(durable=True):
        if (given := _given_before(user_id, key)) is not None:
            return _replay(given, fingerprint)
        answer = handler()
        if answer.status_code == 409 or 200 <= answer.status_code < 300:
            _keep(user_id, key, fingerprint, answer)
        return answer


def _given_before(user_id: UUID, key: str) -> tuple[Any, ...] | None:
    rows = prepared_rows(TAKE, {"user": user_id, "key": key})
    if not rows:
        return None
    is_mine, *given = rows[0]
    if not is_mine:
        raise IdempotencyInProgress
    return tuple(given)


def _replay(given: tuple[Any, ...], fingerprint: bytes) -> HttpResponse:
    kept, status, headers, body = given
    if kept != fingerprint:
        raise IdempotencyKeyReused
    return HttpResponse(body, status=status, headers={**json.loads(headers), "Idempotent-Replayed": "true"})


def _keep(user_id: UUID, key: str, fingerprint: bytes, answer: HttpResponse) -> None:
    headers = {name: answer[name] for name in KEPT_HEADERS if name in answer}
    prepared_at_commit(
        KEEP,
        {
            "user": user_id,
            "key": key,
            "fingerprint": fingerprint,
            "status": answer.status_code,
            "headers": json.dumps(headers),
            "body": answer.kept if isinstance(answer, SaidOnce) else answer.content,
        },
    )
