"""A client of the API that costs next to nothing: no library, one kept-alive connection."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Caller:
    """A user with a token that lasts for hours."""

    id: UUID
    token: str


class Line:
    """A kept-alive connection to the API. One request at a time; answers are status, headers' text and body."""

    def __init__(self, port: int, *, patience: float = 30.0) -> None:
        self.port, self.patience = port, patience
        self._socket: socket.socket | None = None

    def send(
        self, method: str, path: str, token: str, body: Any = None, *, key: str | None = None
    ) -> tuple[int, str, bytes]:
        """One request below /api/v1. Raises OSError when the connection breaks: then the outcome is unknown."""
        raw = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n"
            + (f"Idempotency-Key: {key}\r\n" if key else "")
            + "\r\n"
        )
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port), self.patience)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.sendall(head.encode() + raw)
            return self._answer(self._socket)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @staticmethod
    def _answer(line: socket.socket) -> tuple[int, str, bytes]:
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += _some(line)
        head = got[:end].decode("latin-1")
        body = got[end + 4 :]
        lengths = [one.partition(":")[2] for one in head.split("\r\n") if one.lower().startswith("content-length:")]
        length = int(lengths[0]) if lengths else 0
        while len(body) < length:
            body += _some(line)
        return int(head[9:12]), head, body


def _some(line: socket.socket) -> bytes:
    got = line.recv(65536)
    if not got:
        raise ConnectionResetError("the server hung up")
    return got
