"""A log of a thousand mixed requests: no secret in it, and one line of JSON for each, whatever was sent."""

from __future__ import annotations

import json
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from tests.stack.private import SoukStack, wait_for

CONFIRM = "/api/v1/orders/01a214f0-0000-7000-8000-000000000001/confirm"
GRANT = {"grant_type": "password", "username": "<name>", "client_id": "souk-web"}
# Every door and every place of a request that may carry a secret. <...> is a new one each time.
WAYS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/oauth/token", {"data": {**GRANT, "password": "<secret>"}}),
    ("POST", "/oauth/token", {"data": {"grant_type": "refresh_token", "refresh_token": "<secret>"}}),
    ("POST", "/oauth/token?password=<secret>", {"data": {}}),
    ("POST", "/oauth/revoke", {"data": {"token": "<secret>", "client_id": "souk-web"}}),
    ("GET", "/api/v1/me", {"headers": {"Authorization": "Bearer <secret>"}}),
    ("GET", "/api/v1/me", {"headers": {"Authorization": "Basic <secret>"}}),
    ("GET", "/api/v1/products?access_token=<secret>", {}),
    ("GET", "/api/v1/products?q=<secret>", {}),
    ("GET", "/<secret>/<secret>", {}),
    ("GET", "/api/v1/products/<secret>", {"headers": {"User-Agent": "<secret>", "Referer": "<secret>"}}),
    ("POST", "/api/v1/users", {"json": {"username": "x", "password": "<secret>", "<secret>": 1}}),
    (
        "POST",
        "/api/v1/users",
        {"content": '{"password": "<secret>", ', "headers": {"Content-Type": "application/json"}},
    ),
    ("POST", "/api/v1/me/password", {"json": {"current_password": "<secret>", "new_password": "<secret>"}}),
    ("POST", "/api/v1/me/delete", {"json": {"password": "<secret>"}}),
    ("POST", "/api/v1/password-resets", {"json": {"email": "<secret>@private.example"}}),
    ("POST", "/api/v1/password-resets/confirm", {"json": {"token": "<secret>", "new_password": "<secret>"}}),
    ("POST", "/api/v1/email-verifications/confirm", {"json": {"token": "<secret>"}}),
    ("POST", CONFIRM, {"json": {"payment": {"method": "card", "token": "tok_<secret>"}}}),
    ("POST", CONFIRM, {"json": {"payment": {"method": "card", "token": "tok_ok"}, "number": "<card>"}}),
    (
        "POST",
        CONFIRM,
        {"json": {"card": "<card>"}, "headers": {"Idempotency-Key": "<secret>", "X-Request-ID": "<card>"}},
    ),
    ("POST", "/api/v1/orders", {"json": {"lines": []}, "headers": {"Cookie": "session=<secret>"}}),
    ("POST", "/api/v1/webhooks", {"json": {"url": "https://u:<secret>@example.org/"}}),
    ("POST", "/api/v1/webhooks", {"json": {"url": "https://example.org/<secret>"}}),
    ("POST", "/api/v1/live/tickets", {}),
    ("GET", "/metrics", {"headers": {"Authorization": "Bearer <secret>", "X-Forwarded-For": "192.0.2.1"}}),
    ("POST", "/admin/login/", {"data": {"username": "<name>", "password": "<secret>"}}),
    ("GET", "/admin/login/?next=/admin/&password=<secret>", {"headers": {"Cookie": "souk-staff=<secret>"}}),
    ("GET", "<live>/live?ticket=<secret>", {}),
    ("GET", "<live>/live", {"headers": {"Authorization": "Bearer <secret>"}}),
]
GIVEN = ("access_token", "refresh_token", "secret", "ticket")
HOSTILE = (
    '\n{"event":"forged"}\n',
    "\r\nforged: yes",
    "\x1b[2J\x1b[31mforged",
    "forged\u2028line\u2029paragraph\x85",
    "A" * 100_000,
)


@dataclass
class Stranger:
    """Sends secrets to every door and remembers them, with those that were given in answers."""

    stack: SoukStack
    number: int
    secrets: set[str] = field(default_factory=set)
    sent: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = f"stranger-{uuid4().hex[:12]}"
        self.client = httpx.Client(timeout=60)
        self.live = f"http://127.0.0.1:{self.stack.environment['SOUK_LIVE_PORT']}"

    def filled(self, value: Any) -> Any:
        """The same with new secrets in its places."""
        if isinstance(value, dict):
            return {self.filled(key): self.filled(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(inner) for inner in value]
        if not isinstance(value, str):
            return value
        value = value.replace("<name>", self.name).replace("<live>", self.live)
        return re.sub("<(secret|card)>", lambda found: self.made(found[1]), value)

    def made(self, kind: str) -> str:
        card = f"4{self.number:03}{secrets.randbelow(10**12):012}"
        self.secrets.add(secret := card if kind == "card" else secrets.token_urlsafe(18))
        return secret

    def ask(self, method: str, path: str, more: dict[str, Any]) -> int:
        """Send it filled in; what the answer gives is a secret, too."""
        address, asked = self.filled(path), self.filled(more)
        asked["headers"] = {**self.headers, **asked.get("headers", {})}
        address = address if address.startswith("http") else self.stack.base_url + address
        answer = self.client.request(method, address, **asked)
        self.sent += 1
        if answer.is_success and "json" in answer.headers.get("Content-Type", ""):
            given = answer.json()
            self.secrets |= {given[name] for name in GIVEN if isinstance(given, dict) and given.get(name)}
            if "access_token" in given:
                self.headers = {"Authorization": f"Bearer {given['access_token']}"}
        return answer.status_code

    def work(self, rounds: int) -> None:
        password = self.made("secret")
        body = {"username": self.name, "password": password, "email": "<secret>@private.example"}
        assert self.ask("POST", "/api/v1/users", {"json": body}) == 201
        assert self.ask("POST", "/oauth/token", {"data": {**GRANT, "password": password}}) == 200
        for _ in range(rounds):
            for method, path, more in WAYS:
                assert self.ask(method, path, more) < 500, path
        self.client.close()


def logged(line: str) -> dict[str, Any] | None:
    """What a process said in a line of its log file, behind the moment; None where that is no JSON."""
    text = line.partition(" ")[2]
    return dict(json.loads(text)) if text.startswith("{") else None


def test_a_log_of_a_thousand_mixed_requests_holds_no_secret(souk_stack: SoukStack) -> None:
    before = len((souk_stack.home / "log" / "live.log").read_text().split("\n")) - 1
    strangers = [Stranger(souk_stack, number) for number in range(6)]
    with ThreadPoolExecutor(len(strangers)) as threads:
        for done in [threads.submit(stranger.work, 6) for stranger in strangers]:
            done.result()
    hidden = {secret for stranger in strangers for secret in stranger.secrets}
    assert min(sum(stranger.sent for stranger in strangers), len(hidden)) > 1000
    logs = {path.name: path.read_text(errors="replace") for path in (souk_stack.home / "log").iterdir()}
    whole = "\n".join(logs.values()).lower()
    assert [secret for secret in hidden if secret.lower() in whole or quote(secret).lower() in whole] == []
    assert "oauth/token" in logs["api.log"]
    streams = [
        line for line in map(logged, logs["live.log"].split("\n")[before:]) if line and line["event"] == "request"
    ]
    assert {line["status"] for line in streams if line["route"] == "/live"} == {401}
    assert all(line["request_id"] and line["trace_id"] for line in streams)


def test_whatever_is_sent_a_request_is_one_line_of_json_with_its_ids(souk_stack: SoukStack) -> None:
    log = souk_stack.home / "log" / "api.log"
    before = len(log.read_text().split("\n"))
    asked = []
    for text in HOSTILE:
        quoted = quote(text[:4000])
        for method, path, more in (
            ("GET", f"/{quoted}", {}),
            ("GET", f"/api/v1/products?q={quoted}", {}),
            ("GET", f"/api/v1/products?{quoted}=1", {}),
            ("GET", f"/api/v1/tags/{quoted}", {}),
            ("GET", "/api/v1/products", {"headers": {"traceparent": quoted, "Idempotency-Key": quoted}}),
            ("POST", "/api/v1/users", {"json": {"username": text, "password": text, text: text}}),
            ("POST", "/oauth/token", {"data": {"grant_type": "password", "username": text, "password": text}}),
            ("POST", "/admin/login/", {"data": {"username": text, "password": text}}),
        ):
            mark = f"mark-{uuid4().hex}"
            sent: dict[str, Any] = {**more, "headers": {**more.get("headers", {}), "X-Request-ID": mark}}
            httpx.request(method, souk_stack.base_url + path, timeout=60, **sent)
            asked.append(mark)
    wait_for(lambda: all(mark in log.read_text() for mark in asked), what="every request is logged")
    lines = log.read_text().split("\n")[before - 1 :]
    told = [line for line in map(logged, lines) if line and line["event"] == "request" and line["request_id"] in asked]
    assert sorted(line["request_id"] for line in told) == sorted(asked)
    assert all(re.fullmatch(r"[0-9a-f]{32}", line["trace_id"]) for line in told)
    assert max(len(line) for line in lines) < 2000
    assert [line for line in lines if "\x1b" in line or "forged" in line] == []
