"""What was asked of a running server and what it answered, kept as examples: with ids, times and secrets made alike."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.callers import PASSWORD

UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MOMENTS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
CURSORS = re.compile(r"(cursor|after)=[A-Za-z0-9_-]+")
NOW, DEADLINE = "2026-11-25T10:00:00Z", "2026-11-25T10:05:00Z"
ALIKE = {
    "access_token": "kPqRW1CfSIXMFB7KF6JiFQt1JXNY2k",
    "refresh_token": "8vJzq0kC0mWl1nTgkX0qYtYIBr3w5Z",
    "ticket": "q1mC6F0b0xYt3m2dS1n9wA",
    "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
    "request_id": "01a214f0-2f6d-7c51-9d0e-3b8f5a1c7e42",
    "token": "Zk1xT0pQc3V2d3h5ejAxMjM0NTY3ODlhYmNkZWZnaGk",
}
KEPT_HEADERS = ("Location", "ETag", "Link", "Idempotent-Replayed", "Retry-After", "Allow", "WWW-Authenticate")


@dataclass
class Exchanges:
    """A caller whose exchanges are kept, by operation. `names` are the names of users as the examples show them."""

    base_url: str
    names: dict[str, str] = field(default_factory=dict)
    kept: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        operation: str | None,
        title: str,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send it, and keep it under the operation, if one is named."""
        address = path if path.startswith("//") else f"//api/v1{path}"
        sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        json_body = None if body is None or isinstance(body, bytes) else body
        with httpx.Client(base_url=self.base_url, timeout=60) as client:
            answer = client.request(
                method, address[1:], headers=sent, json=json_body, data=form,
                content=body if isinstance(body, bytes) else None,
            )  # fmt: skip
        if operation is not None:
            asked = {"method": method, "path": self.alike(address[1:]), "headers": self.alike(dict(headers or {}))}
            told = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
            shown = {"status": answer.status_code, "headers": self.alike(told), "body": self.alike(_body(answer))}
            asked["body"] = self.alike(json_body if form is None else dict(form))
            self.kept.setdefault(operation, []).append({"title": title, "request": asked, "answer": shown})
        return answer

    def alike(self, value: Any, name: str = "") -> Any:
        """The value with everything in it that differs from run to run replaced by something that does not."""
        if isinstance(value, dict):
            return {key: self.alike(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.alike(inner) for inner in value]
        if name == "duration_ms" and value is not None:
            return 118
        if not isinstance(value, str):
            return value
        if name == "Retry-After":
            return value if value == "1" else "29"
        if name in ALIKE and (name != "token" or len(value) == len(ALIKE["token"])):
            return ALIKE[name]
        if name in ("next", "oldest") and value:
            return "WyJwcm9kdWN0cyIsIjAxYTIxNGYwIl0"
        if name in ("from", "to"):
            return value  # a span that was asked for, and is the same in every run
        if name in ("ETag", "If-Match") and "." in value and len(value) > 20:
            return '"5d41402abc4b2a76.b9719d911017c592"'
        for real, shown in self.names.items():
            value = value.replace(real, shown)
        value = UUIDS.sub(lambda found: self._id(found[0]), value)
        value = MOMENTS.sub(DEADLINE if name == "expires_at" else NOW, value)
        return CURSORS.sub(r"\1=WyJwcm9kdWN0cyIsIjAxYTIxNGYwIl0", value).replace(self.base_url, "https://souk.example")

    def _id(self, real: str) -> str:
        return self.ids.setdefault(real, f"01a214f0-0000-7000-8000-{len(self.ids) + 1:012x}")

    def files(self) -> dict[str, str]:
        """The file of every operation, by its name."""
        return {
            f"{operation}.json": json.dumps(exchanges, indent=1, ensure_ascii=False) + "\n"
            for operation, exchanges in sorted(self.kept.items())
        }

    def user(self, real: str, shown: str) -> str:
        """Register somebody who is shown under another name, sign in, and return the token."""
        self.names[real] = shown
        made = self.ask(None, "", "POST", "/users", body={"username": real, "password": PASSWORD})
        assert made.status_code == 201, made.text
        return self.token(real)

    def token(self, name: str) -> str:
        form = {"grant_type": "password", "client_id": "souk-web", "username": name, "password": PASSWORD}
        given = self.ask(None, "", "POST", "//oauth/token", form=form)
        assert given.status_code == 200, given.text
        return str(given.json()["access_token"])


def stale(made: Mapping[str, str], folder: Path) -> list[str]:
    """The names of files that are not as they were made, or that nothing makes any more."""
    there = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.json")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def _body(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.text
