"""The ASGI application of the live process: `GET /live`, and `GET /health/live` for whoever starts it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import msgspec
import structlog
from django.conf import settings
from django.http import HttpResponse
from redis.exceptions import RedisError

from souk.eventlog.feed import cursor_of, position_of, read_feed
from souk.eventlog.serializers import event_out, types_of
from souk.kit.context import enter_request
from souk.kit.measures import METHODS
from souk.kit.problem import (
    DependencyUnavailable,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    refusal_of,
    rendered,
)
from souk.live import measures
from souk.live.hub import Hub, Listener, holder_of
from souk.live.rows import ask
from souk.live.tickets import bearer_of, checksum_of, redeem_ticket

log = structlog.get_logger()
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PAGE = 100
HEARTBEAT_SECONDS = 15.0
# Whoever takes nothing for so long is let go; they resume where they were.
SLOWEST_SECONDS = 10.0
RETRY_MILLISECONDS = 2000
ROUTES = {"/live", "/health/live"}
QUERY = {"ticket", "after", "types"}
STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}


class Opening(NamedTuple):
    """Where a listener came in, and the page that was read for them before the answer began."""

    after: int
    page: bytes


class Application:
    """One process of live connections."""

    def __init__(self) -> None:
        self._hub: Hub | None = None
        self._readings: dict[tuple[UUID, int, int, tuple[str, ...]], asyncio.Future[tuple[bytes, int]]] = {}

    async def open(self) -> None:
        """Begin to hear. Raises django.db.Error without a database."""
        hub = Hub()
        await hub.open()
        self._hub = hub

    async def close(self) -> None:
        """End every connection; their listeners resume elsewhere, or here when it is open again."""
        if self._hub is not None:
            await self._hub.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            # A task of its own: what it knows of its request is nobody else's.
            await asyncio.create_task(self._logged(scope, receive, send))

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            kind = (await receive())["type"]
            await (self.open() if kind == "lifespan.startup" else self.close())
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and log one line when the answer is over: for a stream when it ends."""
        headers, began, status = _headers(scope), time.monotonic(), 0
        request_id = enter_request(asked_id=headers.get("x-request-id", ""), traceparent=headers.get("traceparent"))

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._answer(scope, receive, noted)
        finally:
            log.info(
                "request",
                method=scope["method"] if scope["method"] in METHODS else "OTHER",
                route=scope["path"] if scope["path"] in ROUTES else "unmatched",
                status=status,
                milliseconds=round((time.monotonic() - began) * 1000, 1),
            )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._hub is not None  # noqa: S101  # the server waits for the start to be complete
        cors = _cors(scope)
        try:
            if scope["path"] == "/health/live":
                await _respond(send, HttpResponse(b'{"status":"live"}', content_type="application/json"), cors)
            elif scope["path"] != "/live":
                raise NotFound
            elif scope["method"] == "OPTIONS":
                await _respond(send, HttpResponse(status=204), cors)
            elif scope["method"] != "GET":
                raise MethodNotAllowed
            else:
                await self._stream(scope, receive, send, cors)
        except Exception as error:  # noqa: BLE001  # the one place where every refusal and defect becomes an answer
            refused = refusal_of(DependencyUnavailable() if isinstance(error, RedisError) else error)
            allowed = {"Allow": "GET, OPTIONS"} if isinstance(error, MethodNotAllowed) else {}
            await _respond(send, rendered(refused), {**cors, **allowed})

    async def _stream(self, scope: Scope, receive: Receive, send: Send, cors: dict[str, str]) -> None:
        assert self._hub is not None  # noqa: S101  # see above
        hub, query, headers = self._hub, _query(scope), _headers(scope)
        checksum = (
            await ask(partial(redeem_ticket, query["ticket"]))
            if "ticket" in query
            else checksum_of(bearer_of(headers.get("authorization")))
        )
        user_id = await holder_of(checksum)
        types = types_of(query.get("types"))
        cursor = headers.get("last-event-id") or query.get("after")
        after = None if cursor is None else position_of(cursor, parameter="after")
        present = await hub.present()
        listener = Listener(user_id, checksum, present if after is None else after)
        hub.join(listener)
        try:
            # Read before the head of the answer is sent: an expired cursor can still be refused.
            first = Opening(listener.position, await self._read(listener, types))
            await _begin(send, {**STREAM_HEADERS, **cors})
            await self._tell(listener, types, first, receive, send)
        finally:
            hub.leave(listener)

    async def _tell(
        self, listener: Listener, types: list[str] | None, first: Opening, receive: Receive, send: Send
    ) -> None:
        gone = asyncio.create_task(_end_when_gone(listener, receive))
        reason = "ended"
        measures.opened.inc()
        try:
            await self._serve(listener, types, first, send)
        except TimeoutError:
            reason = "slow"
            log.info("live.too_slow", user_id=str(listener.user_id))
        except Exception as error:  # noqa: BLE001  # the answer has begun: all that is left is to end it
            reason = "broken"
            log.warning("live.broken_off", user_id=str(listener.user_id), error=repr(error))
        finally:
            gone.cancel()
            measures.closed.labels(reason).inc()

    async def _serve(self, listener: Listener, types: list[str] | None, first: Opening, send: Send) -> None:
        # The cursor comes first, so that whoever is cut off before any event resumes here: neither at a later present
        # nor behind the page that follows, which the listener's own position has passed already.
        opening = f"retry: {RETRY_MILLISECONDS}\nid: {cursor_of(first.after)}\n\n".encode()
        await _say(send, opening + first.page)
        more = bool(first.page)
        while True:
            # To the end before any waiting: nobody is woken for what was there before they came, and the heartbeat
            # holds whoever waits for one who has read everything.
            while more and not listener.ended:
                told = await self._read(listener, types)
                more = bool(told)
                if more and not listener.ended:
                    await _say(send, told)
            if listener.ended:
                return
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await listener.woken.wait()
                more = True
            except TimeoutError:
                await _say(send, self._heartbeat(listener))

    async def _read(self, listener: Listener, types: list[str] | None) -> bytes:
        """The listener's next page as it is sent; empty when there is nothing.

        Listeners of one user are woken together and stand at the same place: they share one reading. Not one that began
        before the waking, which may not see what they were woken for; hence the tail in the key.
        """
        assert self._hub is not None  # noqa: S101  # see above
        listener.woken.clear()
        key = (listener.user_id, listener.position, self._hub.tail, tuple(types or ()))
        reading = self._readings.get(key)
        if reading is None:
            reading = asyncio.ensure_future(ask(partial(_page, listener.user_id, listener.position, types)))
            self._readings[key] = reading
            reading.add_done_callback(lambda _: self._readings.pop(key, None))
        told, listener.position = await asyncio.shield(reading)
        return told

    def _heartbeat(self, listener: Listener) -> bytes:
        """A sign of life. Nothing was for this listener up to the hub's tail, so its cursor moves there."""
        assert self._hub is not None  # noqa: S101  # see above
        if listener.woken.is_set() or listener.position >= self._hub.tail:
            return b": still here\n\n"
        listener.position = self._hub.tail
        return f": still here\nid: {cursor_of(listener.position)}\n\n".encode()


def _page(user_id: UUID, after: int, types: list[str] | None) -> tuple[bytes, int]:
    page = read_feed(user_id=user_id, after=after, types=types, limit=PAGE, number_waiting=False)
    told = b"".join(
        b"id: %s\nevent: %s\ndata: %s\n\n"
        % (cursor_of(event.position).encode(), event.type.encode(), msgspec.json.encode(event_out(event)))
        for event in page.events
    )
    return told, page.after


async def _end_when_gone(listener: Listener, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end()


async def _say(send: Send, body: bytes) -> None:
    async with asyncio.timeout(SLOWEST_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _begin(send: Send, headers: dict[str, str], status: int = 200) -> None:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _respond(send: Send, response: HttpResponse, headers: dict[str, str]) -> None:
    await _begin(send, {**dict(response.items()), **headers}, response.status_code)
    await send({"type": "http.response.body", "body": response.content})


def _headers(scope: Scope) -> dict[str, str]:
    pairs: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}


def _query(scope: Scope) -> dict[str, str]:
    """The query parameters. Raises MalformedRequest for unknown and repeated ones."""
    found = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    bad = [name for name, values in found.items() if name not in QUERY or len(values) > 1]
    if bad:
        errors = [{"parameter": name, "code": "invalid", "detail": "Not this, or only once."} for name in bad]
        raise MalformedRequest("Some query parameters are not acceptable.", errors=errors)
    return {name: values[0] for name, values in found.items()}


def _cors(scope: Scope) -> dict[str, str]:
    """What lets a page of the shop listen: it comes from another port of this host, or from a listed origin.

    Nothing that a browser would send by itself opens this door, so no origin can ride on somebody's session.
    """
    headers = _headers(scope)
    origin, host = headers.get("origin"), headers.get("host", "")
    if origin is None:
        return {}
    try:
        same_host = urlsplit(origin).hostname == urlsplit(f"//{host}").hostname
    except ValueError:  # a bracket that is never closed
        same_host = False
    if origin not in settings.CORS_ORIGINS and not same_host:
        return {"Vary": "Origin"}
    return {
        "Vary": "Origin",
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET",
        "Access-Control-Allow-Headers": "Authorization, Last-Event-ID, Cache-Control",
        "Access-Control-Max-Age": "600",
    }
