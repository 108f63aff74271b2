"""Requests that only a real server can be sent: broken off, in chunks, with a thousand parameters."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest

from tests.stack.conftest import SoukStack

REGISTRATION = {"username": "chunk-by-chunk", "password": "walnut-and-oak"}
REGISTERED = json.dumps({"username": "two-headers", "password": "walnut-and-oak"}).encode()
SIGN_IN = b"grant_type=password&username=two-headers&password=walnut-and-oak&client_id=souk-web"
POST_USER = (
    "POST /api/v1/users HTTP/1.1\nHost: 127.0.0.1\nConnection: close\nContent-Type: application/json\n"
    f"Content-Length: {len(REGISTERED)}"
)
POST_FORM = (
    "POST /oauth/token HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n"
    f"Content-Type: application/x-www-form-urlencoded\nContent-Length: {len(SIGN_IN)}"
)


def exchange(stack: SoukStack, head: str, body: bytes, *, finish: bool = True) -> tuple[int, dict[str, object]]:
    """Send these bytes, and read the answer: its status and its decoded body."""
    at = urlsplit(stack.base_url)
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=20) as wire:
        wire.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        if finish:
            wire.shutdown(socket.SHUT_WR)
        heard = b""
        while piece := wire.recv(65536):
            heard += piece
    top, _, content = heard.partition(b"\r\n\r\n")
    return int(top.split()[1]), json.loads(content)


def test_a_body_in_chunks_is_read_like_any_other(souk_stack: SoukStack) -> None:
    raw = json.dumps(REGISTRATION).encode()
    chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (raw[:7], raw[7:])) + b"0\r\n\r\n"
    head = (
        "POST /api/v1/users HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n"
        "Content-Type: application/json\nTransfer-Encoding: chunked"
    )
    status, made = exchange(souk_stack, head, chunks, finish=False)
    assert (status, made["username"]) == (201, REGISTRATION["username"])


def test_a_body_that_ends_early_changes_nothing(souk_stack: SoukStack) -> None:
    raw = json.dumps({"username": "broken-off", "password": "walnut-and-oak"}).encode()
    head = (
        "POST /api/v1/users HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n"
        f"Content-Type: application/json\nContent-Length: {len(raw) + 10}"
    )
    at = urlsplit(souk_stack.base_url)
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=20) as wire:
        wire.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + raw)
    found = exchange(
        souk_stack,
        "GET /api/v1/users?username=broken-off HTTP/1.1\nHost: 127.0.0.1\nConnection: close",
        b"",
        finish=False,
    )
    assert found == (200, {"results": [], "next": None})


@pytest.mark.parametrize("address", ["/api/v1/products?", "/api/v1/tags?", "/api/v1/users?"])
def test_a_thousand_and_one_parameters_are_a_malformed_request(souk_stack: SoukStack, address: str) -> None:
    head = f"GET {address}{'id=x&' * 1001} HTTP/1.1\nHost: 127.0.0.1\nConnection: close"
    status, problem = exchange(souk_stack, head, b"", finish=False)
    assert (status, problem["code"]) == (400, "malformed_request")


def test_a_token_beside_another_header_of_the_kind_names_nobody(souk_stack: SoukStack) -> None:
    exchange(souk_stack, POST_USER, REGISTERED, finish=False)
    status, given = exchange(souk_stack, POST_FORM, SIGN_IN, finish=False)
    assert status == 200
    good = f"Authorization: Bearer {given['access_token']}"
    for headers in (
        [good, good],
        [good, "Authorization: Bearer nonsense"],
        ["Authorization: Basic YTpi", good],
        [f"{good}\t{given['access_token']}"],
        ["Authorization:"],
        ["Authorization: Bearer " + "a" * 10_240],
        ["Authorization: Bearer caf\u00e9"],
    ):
        head = "\n".join(["GET /api/v1/me HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers])
        status, problem = exchange(souk_stack, head, b"", finish=False)
        assert (status, problem["code"]) == (401, "not_authenticated"), headers
    head = f"GET /api/v1/me HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n{good}"
    assert exchange(souk_stack, head, b"", finish=False)[0] == 200
