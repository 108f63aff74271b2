"""The short way of a search to its server: what arrives there, and what comes of whatever comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import opensearchpy
import pytest

from souk.search.wire import SearchConnection

FOUND = b'{"hits":{"hits":[]}}'
SEARCH = "/souk-products/_search"


@dataclass
class Server:
    """What the server is to do, and what it heard."""

    port: int = 0
    status: int = 200
    body: bytes = FOUND
    length: int | None = None
    closes: bool = False
    hangs: threading.Event | None = None
    heard: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    peers: set[Any] = field(default_factory=set)

    def connection(self, **more: Any) -> SearchConnection:
        return SearchConnection(host="127.0.0.1", port=self.port, timeout=5, **more)


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.heard.append((self.path, body, {name.lower(): value for name, value in self.headers.items()}))
            told.peers.add(self.client_address)
            if told.hangs is not None:
                told.hangs.wait(10)
            self.send_response(told.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(told.body) if told.length is None else told.length))
            self.end_headers()
            self.wfile.write(told.body)
            self.close_connection = told.closes

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        told.port = http.server_address[1]
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield told
        finally:
            if told.hangs is not None:
                told.hangs.set()
            http.shutdown()


def ask(connection: SearchConnection, timeout: float = 5, body: bytes = b'{"size":1}') -> Any:
    headers = {"content-type": "application/json"}
    return connection.perform_request("POST", SEARCH, {"preference": "q 1"}, body, timeout, (), headers)


def test_a_search_arrives_whole_with_its_credentials(server: Server) -> None:
    body = b'{"query":"' + "größer".encode() * 20_000 + b'"}'
    status, headers, told = ask(server.connection(http_auth=("souk", "sesame"), url_prefix="inner"), body=body)
    assert (status, headers["content-type"], told) == (200, "application/json", FOUND.decode())
    ((path, heard, sent),) = server.heard
    assert (path, heard) == (f"/inner{SEARCH}?preference=q+1", body)
    assert sent["authorization"] == "Basic c291azpzZXNhbWU="
    assert sent["content-type"] == "application/json"
    assert sent["host"] == f"127.0.0.1:{server.port}"


def test_searches_go_over_one_kept_connection(server: Server) -> None:
    connection = server.connection()
    for _ in range(5):
        ask(connection)
    assert len(server.peers) == 1


def test_a_connection_that_the_server_closed_is_not_used_again(server: Server) -> None:
    connection = server.connection()
    for _ in range(6):
        ask(connection)
        server.closes = not server.closes
        time.sleep(0.05)  # until it is closed
    assert len(server.heard) == 6
    assert 1 < len(server.peers) < 6


@pytest.mark.parametrize(("status", "error"), [(404, opensearchpy.NotFoundError), (429, opensearchpy.TransportError)])
def test_a_refusal_says_its_status_and_keeps_the_connection(
    server: Server, status: int, error: type[opensearchpy.TransportError]
) -> None:
    connection = server.connection()
    server.status, server.body = status, b'{"error":{"type":"too_many"}}'
    with pytest.raises(error) as refused:
        ask(connection)
    assert (refused.value.status_code, refused.value.error) == (status, "too_many")
    server.status, server.body = 200, FOUND
    assert ask(connection)[0] == 200
    assert len(server.peers) == 1


def test_a_server_that_hangs_is_a_timeout_and_its_late_answer_nobodys(server: Server) -> None:
    connection = server.connection()
    server.hangs = threading.Event()
    with pytest.raises(opensearchpy.ConnectionTimeout):
        ask(connection, timeout=0.1)
    server.hangs.set()
    server.hangs, server.body = None, b'{"hits":{"hits":[1]}}'
    assert ask(connection)[2] == '{"hits":{"hits":[1]}}'
    assert len(server.peers) == 2


def test_an_answer_that_ends_early_is_a_failure(server: Server) -> None:
    server.length, server.closes = len(FOUND) + 1, True
    with pytest.raises(opensearchpy.ConnectionError):
        ask(server.connection())


def test_a_server_that_is_not_there_is_a_failure(server: Server) -> None:
    with pytest.raises(opensearchpy.ConnectionError):
        SearchConnection(host="127.0.0.1", port=1, timeout=5).perform_request("POST", SEARCH, None, b"{}")


def test_a_server_that_speaks_no_tls_is_told_apart(server: Server) -> None:
    with pytest.raises(opensearchpy.SSLError):
        ask(server.connection(use_ssl=True))
