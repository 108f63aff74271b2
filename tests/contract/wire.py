"""A client that sends whatever it is told, byte by byte: no library stands between the corpus and the server."""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True)
class Heard:
    """An answer: its status (0: the server closed the connection without one), headers in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The problem details; empty where the body is none."""
        if self.headers.get("content-type") != "application/problem+json":
            return {}
        try:
            found = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return {}
        return found if isinstance(found, dict) else {}


def request_bytes(method: str, target: str, headers: list[tuple[str, str]], body: bytes | None, *, host: str) -> bytes:
    """The request as bytes. Addresses go out in UTF-8, headers in Latin-1, both without any check."""
    lines = [f"{method} {target} HTTP/1.1".encode()]
    if not any(name == "Host" for name, _ in headers):
        lines.append(f"Host: {host}".encode())
    lines += [f"{name}: {value}".encode("latin-1") for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}".encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


class Wire:
    """One connection to a server, made anew whenever the server has closed it."""

    def __init__(self, host: str, port: int) -> None:
        self.at, self.name = (host, port), f"{host}:{port}"
        self._socket: socket.socket | None = None

    def exchange(self, sent: bytes, method: str, *, alone: bool = False) -> Heard:
        """Send these bytes and read one answer. `alone`: over a connection of its own, whose sending end is closed."""
        if alone:
            self.close()
        fresh = self._socket is None
        try:
            return self._heard(sent, method, alone=alone)
        except TimeoutError:
            self.close()
            return Heard(0, {}, b"no answer")
        except (http.client.BadStatusLine, ConnectionError):
            self.close()
            if fresh:
                return Heard(0, {}, b"")
            return self.exchange(sent, method, alone=alone)  # the server had closed it before we wrote

    def _heard(self, sent: bytes, method: str, *, alone: bool) -> Heard:
        if self._socket is None:
            self._socket = socket.create_connection(self.at, timeout=30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.sendall(sent)
            if alone:
                self._socket.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # it may have answered before it had read all
        answer = http.client.HTTPResponse(self._socket, method=method)
        answer.begin()
        if answer.headers.get_content_type() == "text/event-stream":
            self.close()  # it has no end
            return Heard(answer.status, dict(answer.getheaders()), b"")
        try:
            body = answer.read()
        except http.client.IncompleteRead as cut:
            if alone:  # the server took our closed end for the end of everything, between the head and the body
                self.close()
                return Heard(0, {}, b"")
            body = cut.partial
        headers = {name.lower(): value for name, value in answer.getheaders()}
        if alone or answer.will_close:
            self.close()
        return Heard(answer.status, headers, body)

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
