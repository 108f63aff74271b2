"""The short way of a search to its server: what arrives there, and what comes of whatever comes back."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import opensearchpy
import pytest

from souk.search import gateway
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


def ask(connection: SearchConnection, timeout: float = 5, body: bytes = b'{"size":1}') -> bytes:
    return connection.search(SEARCH, {"preference": "q 1"}, body, timeout)


def test_a_search_arrives_whole_with_its_credentials(server: Server) -> None:
    body = b'{"query":"' + "größer".encode() * 20_000 + b'"}'
    assert ask(server.connection(http_auth=("souk", "sesame"), url_prefix="inner"), body=body) == FOUND
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
    assert ask(connection) == FOUND
    assert len(server.peers) == 1


def test_a_server_that_hangs_is_a_timeout_and_its_late_answer_nobodys(server: Server) -> None:
    connection = server.connection()
    server.hangs = threading.Event()
    with pytest.raises(opensearchpy.ConnectionTimeout):
        ask(connection, timeout=0.1)
    server.hangs.set()
    server.hangs, server.body = None, b'{"hits":{"hits":[1]}}'
    assert ask(connection) == b'{"hits":{"hits":[1]}}'
    assert len(server.peers) == 2


def test_an_answer_that_ends_early_is_a_failure(server: Server) -> None:
    server.length, server.closes = len(FOUND) + 1, True
    with pytest.raises(opensearchpy.ConnectionError):
        ask(server.connection())


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (204, b""),
        (200, b"null"),
        (200, b"[]"),
        (200, b'{"hits":null}'),
        (200, b'{"hits":{"hits":[{"_id":"1"}]}}'),
        (200, b"[" * 100_000),
        (200, b"<html>"),
        (503, b"null"),
        (429, b'"later"'),
        (409, b"{}"),
        (404, b"{}"),
    ],
)
def test_whatever_comes_instead_of_an_answer_leaves_the_search_to_postgresql(
    server: Server, settings: Any, status: int, body: bytes
) -> None:
    settings.SEARCH_URL = f"http://127.0.0.1:{server.port}"
    server.status, server.body = status, body
    gateway.client.cache_clear()
    try:
        with pytest.raises(gateway.SearchAway):
            gateway.search({"size": 1, "query": {"match_all": {}}})
    finally:
        gateway.client.cache_clear()


def test_an_answer_that_only_announces_another_one_ends_the_connection(server: Server) -> None:
    connection = server.connection()
    server.status = 103
    with pytest.raises(opensearchpy.TransportError):
        ask(connection)
    server.status = 200
    assert ask(connection) == FOUND
    assert len(server.peers) == 2


@pytest.mark.parametrize(("tls", "port", "host"), [(True, 443, "shop"), (False, 80, "shop"), (True, 80, "shop:80")])
def test_a_default_port_is_not_named(tls: bool, port: int, host: str) -> None:
    connection = SearchConnection(host="shop", port=port, use_ssl=tls)
    assert f"\r\nhost: {host}\r\n".encode() in connection._head(SEARCH, 0)


def test_a_header_of_two_lines_is_refused() -> None:
    with pytest.raises(opensearchpy.ConnectionError):
        SearchConnection(host="127.0.0.1", port=1, headers={"a": "b\r\nc"}).search(SEARCH, {}, b"{}")


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
WHOLE = HEAD + b"content-length: 20\r\n\r\n" + FOUND


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ([WHOLE], FOUND),
        ([WHOLE[place : place + 1] for place in range(len(WHOLE))], FOUND),
        ([CHUNKED + b"5\r\n", FOUND[:5], b"\r\nf\r\n" + FOUND[5:] + b"\r\n0\r\n\r\n"], FOUND),
        ([HEAD + b"\r\n", FOUND], FOUND),  # what has no length ends with the connection
        ([HEAD + b"Content-Length: 20\r\nConnection: Close\r\n\r\n" + FOUND], FOUND),
        ([WHOLE + WHOLE], None),
        ([CHUNKED + b"14\r\n" + FOUND], None),
        ([HEAD], None),
        ([b""], None),
        ([b"220 mail.example ready\r\n"], None),
        ([HEAD + b"content-length: -1\r\n\r\n"], None),
        ([b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"], None),
    ],
)  # fmt: skip
def test_an_answer_is_whole_however_it_comes_or_is_none(parts: list[bytes], found: bytes | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peer.recv(10_000)
                for part in parts:
                    peer.sendall(part)

        threading.Thread(target=answer, daemon=True).start()
        connection = SearchConnection(host="127.0.0.1", port=listening.getsockname()[1], timeout=5)
        if found is None:
            with pytest.raises(opensearchpy.TransportError):
                ask(connection)
        else:
            assert ask(connection) == found


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here (Debian: apt-get install openssl)")
def test_a_certificate_is_believed_as_the_librarys_own_connection_believes_it(tmp_path: Path) -> None:
    """By whom it must be signed, and for which name, comes from urllib3 still."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(FOUND)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            for host, trusted in (("localhost", True), ("127.0.0.1", True), ("localhost", False)):
                more: Any = {"ca_certs": str(certificate)} if trusted else {}
                connection = SearchConnection(host=host, port=http.server_address[1], use_ssl=True, timeout=5, **more)
                if (host, trusted) == ("localhost", True):
                    assert ask(connection) == FOUND
                else:
                    with pytest.raises(opensearchpy.SSLError):
                        ask(connection)
        finally:
            http.shutdown()


def test_a_server_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(opensearchpy.ConnectionError):
        SearchConnection(host="127.0.0.1", port=1, timeout=5).search(SEARCH, {}, b"{}")


def test_a_server_that_speaks_no_tls_is_told_apart(server: Server) -> None:
    with pytest.raises(opensearchpy.SSLError):
        ask(server.connection(use_ssl=True))
