"""A gateway in front of a search server, as providers put one there: it asks for a password, and turns work away."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

USER, PASSWORD = "souk", "walnut"
BUSY = {"type": "es_rejected_execution_exception", "reason": "the queue is full"}


@dataclass
class Gateway:
    """Where it listens, and what it turns away now: everything, every second document that is written, or merges."""

    url: str = ""
    all_busy: bool = False
    half_busy: bool = False
    merges_refused: bool = False
    turned_away: int = 0
    without_password: int = 0
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _handle(self) -> None:
        gateway = self.server.gateway
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {known}":
            gateway.without_password += 1
            self._answer(401, {"error": {"type": "security_exception"}, "status": 401})
        elif gateway.all_busy:
            gateway.turned_away += 1
            self._answer(429, {"error": BUSY, "status": 429})
        elif gateway.merges_refused and self.path.partition("?")[0].endswith("/_forcemerge"):
            self._answer(403, {"error": {"type": "cluster_block_exception", "reason": "no"}, "status": 403})
        elif gateway.half_busy and "/_bulk" in self.path:
            self._answer(200, self._half(body))
        else:
            self._answer(*self._forwarded(body))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _handle  # noqa: N815  # the base class calls them so

    def _forwarded(self, body: bytes) -> tuple[int, Any]:
        sent = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
        target = self.server.target + self.path
        told = self.server.gateway.client.request(self.command, target, content=body, headers=sent)
        return told.status_code, told.content

    def _half(self, body: bytes) -> Any:
        """Write every second document, and say of the others that there is no room now."""
        lines = body.splitlines(keepends=True)
        pairs = [(lines[at], lines[at + 1]) for at in range(0, len(lines), 2)]
        items = []
        for number, (head, content) in enumerate(pairs):
            if number % 2 == 0:
                self.server.gateway.turned_away += 1
                named = json.loads(head)["index"]
                items.append({"index": {**named, "status": 429, "error": BUSY}})
            else:
                items += json.loads(self._forwarded(head + content)[1])["items"]
        return {"errors": True, "items": items}

    def _answer(self, status: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, gateway: Gateway, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.gateway, self.target = gateway, target

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def gateway_before(target: str) -> Iterator[Gateway]:
    """A gateway in front of the server at this address, until the block ends; `url` has the password."""
    gateway = Gateway()
    server = _Server(gateway, target)
    gateway.url = f"http://{USER}:{PASSWORD}@127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        gateway.client.close()
