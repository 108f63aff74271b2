"""Callers and listeners of a running stack: they speak HTTP, and stay when parts of it die."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from tests.callers import PASSWORD
from tests.stack.private import SoukStack, wait_for


@dataclass
class Caller:
    """A user who speaks to a running stack."""

    stack: SoukStack
    token: str = ""
    sold: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def register(cls, stack: SoukStack) -> Caller:
        name = f"user-{uuid4().hex[:12]}"
        base = stack.base_url
        httpx.post(f"{base}/api/v1/users", json={"username": name, "password": PASSWORD}).raise_for_status()
        form = {"grant_type": "password", "username": name, "password": PASSWORD, "client_id": "souk-web"}
        given = httpx.post(f"{base}/oauth/token", data=form).raise_for_status()
        return cls(stack, given.json()["access_token"])

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def live(self) -> str:
        return f"http://127.0.0.1:{self.stack.environment['SOUK_LIVE_PORT']}/live"

    def post(self, path: str, body: Any = None) -> Any:
        answer = httpx.post(f"{self.stack.base_url}{path}", json=body, headers=self.headers, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def offer(self, title: str, *, stock: int = 5) -> str:
        body = {"title": title, "price": {"amount": 500, "currency": "EUR"}, "stock": stock}
        return str(self.post("/api/v1/products", body)["id"])

    def feed(self) -> list[dict[str, Any]]:
        return list(httpx.get(f"{self.stack.base_url}/api/v1/events?limit=100", headers=self.headers).json()["results"])


@dataclass
class Ear:
    """An EventSource: keeps the id of what it heard last, and connects again with it whenever it is cut off."""

    caller: Caller
    heard: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    last_id: str = ""
    deaf: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        while not self.deaf.is_set():
            headers = {**self.caller.headers, **({"Last-Event-ID": self.last_id} if self.last_id else {})}
            try:
                with httpx.stream("GET", self.caller.live, headers=headers, timeout=30) as answer:
                    if answer.status_code == 200:
                        self.connections += 1
                        self._hear(answer)
            except httpx.HTTPError:
                pass
            time.sleep(0.1)

    def _hear(self, answer: httpx.Response) -> None:
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "data":
                self.heard.append(json.loads(value))
            if self.deaf.is_set():
                return

    def titles(self) -> list[str]:
        return [event["data"]["title"] for event in self.heard if event["type"] == "product.created"]


@contextmanager
def listening(caller: Caller, *, after: str = "") -> Iterator[Ear]:
    """An EventSource, from the cursor `after` on, or from now on."""
    ear = Ear(caller, last_id=after)
    thread = threading.Thread(target=ear.listen, daemon=True)
    thread.start()
    wait_for(lambda: ear.connections > 0 and bool(ear.last_id), what="the live stream is open")
    try:
        yield ear
    finally:
        ear.deaf.set()
