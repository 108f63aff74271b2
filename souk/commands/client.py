"""A person at the API: signs up, signs in, asks. What `souk demo` and `souk replay` speak HTTP with."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

import httpx

API = "/api/v1"
CLIENT_ID = "souk-web"
PATIENCE = httpx.Timeout(30.0, connect=5.0)
TRIES = 8


class Unexpected(Exception):
    """The API answered otherwise than it promises."""


@dataclass(frozen=True)
class Answer:
    """What came back: status, JSON body (an empty mapping when there is none), and the seconds that it took."""

    status: int
    body: Any
    seconds: float

    @property
    def code(self) -> str:
        """The code of the problem, or `http_<status>` when the answer names none."""
        return str(self.body.get("code") or f"http_{self.status}") if isinstance(self.body, dict) else "no_json"


@dataclass
class Person:
    """An account with its token. Threads may share one: httpx clients are safe to share."""

    http: httpx.Client
    username: str
    password: str
    id: str = ""
    token: str = field(default="", repr=False)

    @classmethod
    def sign_up(cls, http: httpx.Client, *, prefix: str, display_name: str) -> Self:
        """Register under a fresh name that begins with `prefix`, and take a token."""
        person = cls(http, f"{prefix}-{secrets.token_hex(4)}", secrets.token_urlsafe(12))
        registered = person.ask(
            "POST",
            "/users",
            json={"username": person.username, "password": person.password, "display_name": display_name},
        )
        person.id = expect(registered, 201)["id"]
        return person

    def sign_in(self) -> Answer:
        """Take a token by the password grant."""
        began = time.perf_counter()
        form = {
            "grant_type": "password",
            "username": self.username,
            "password": self.password,
            "client_id": CLIENT_ID,
        }
        answer = _answer(self.http.post("/oauth/token", data=form), began)
        self.token = expect(answer, 200)["access_token"]
        return answer

    def ask(
        self, method: str, path: str, *, json: Mapping[str, Any] | None = None, params: Mapping[str, Any] | None = None
    ) -> Answer:
        """One request below /api/v1, signed in when there is a token, every POST under an Idempotency-Key of its own.

        A limit (429), a dependency that is away (503), a request of the same key that is still running, and a broken
        connection are waited for and tried again with the same key.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if method == "POST" and self.token:
            headers["Idempotency-Key"] = str(uuid4())
        began = time.perf_counter()
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                response = self.http.request(method, f"{API}{path}", json=json, params=params, headers=headers)
            except httpx.TransportError:
                if last or not (method == "GET" or "Idempotency-Key" in headers):
                    raise
                time.sleep(0.1 * 2**attempt)
                continue
            answer = _answer(response, began)
            if last or not (answer.status in (429, 503) or answer.code == "idempotency_in_progress"):
                break
            time.sleep(_seconds(response.headers.get("Retry-After")))
        return answer


def connect(base_url: str, *, connections: int = 4) -> httpx.Client:
    """A client of the API at this address (no `/api/v1` in it)."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx.Client(base_url=base_url, timeout=PATIENCE, limits=limits)


def expect(answer: Answer, status: int) -> Any:
    """The body of an answer that must have this status. Raises Unexpected."""
    if answer.status != status:
        raise Unexpected(f"expected {status}, got {answer.status}: {answer.body}")
    return answer.body


def _answer(response: httpx.Response, began: float) -> Answer:
    try:
        body = response.json() if response.content else {}
    except ValueError:
        body = {}
    return Answer(response.status_code, body, time.perf_counter() - began)


def _seconds(retry_after: str | None) -> float:
    return min(float(retry_after), 10.0) if retry_after and retry_after.isdecimal() else 1.0
