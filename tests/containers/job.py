"""The main job through whatever stands at an address, while parts behind it die: `python -m tests.containers.job URL`.

A seller and a buyer register, a product is offered, ordered, confirmed and accepted, and the buyer's live stream
tells all of it, each thing once. `--meanwhile COMMAND` runs between the order and its confirmation. Whatever fails for
a while is asked again, under the same Idempotency-Key, as a client should.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

PATIENCE_SECONDS = 150.0
TRY_SECONDS = 15.0
TOLD = ["order.placed", "order.confirmed", "order.accepted"]


class Failed(Exception):
    """The job did not end as it must."""


@dataclass
class Person:
    """An account with its token, which asks again while it gets no answer."""

    http: httpx.Client
    name: str
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    headers: dict[str, str] = field(default_factory=dict)
    again: int = 0

    def ask(self, method: str, path: str, *, expect: int, **sent: Any) -> Any:
        """One request, asked again while nobody, or only the proxy, answers; returns the JSON body."""
        until = time.monotonic() + PATIENCE_SECONDS
        headers = {**self.headers, "Idempotency-Key": str(uuid4())} if method == "POST" else self.headers
        while True:
            try:
                answer = self.http.request(method, path, headers=headers, **sent)
                said = f"{answer.status_code} {answer.text[:300]}"
                if answer.status_code == expect:
                    return answer.json() if answer.content else None
                # The first try of the same request may still be under way.
                if answer.status_code < 500 and "idempotency_in_progress" not in said:
                    raise Failed(f"{method} {path}: {said}")
            except httpx.TransportError as error:
                said = repr(error)
            if time.monotonic() > until:
                raise Failed(f"{method} {path}: no answer for {PATIENCE_SECONDS:.0f} s, at last {said}")
            self.again += 1
            time.sleep(0.5)

    def sign_up(self) -> None:
        """Register and take a token."""
        self.ask("POST", "/api/v1/users", expect=201, json={"username": self.name, "password": self.password})
        asked = {
            "grant_type": "password", "username": self.name, "password": self.password, "client_id": "souk-web",
        }  # fmt: skip
        token = self.ask("POST", "/oauth/token", expect=200, data=asked)["access_token"]
        self.headers = {"Authorization": f"Bearer {token}"}


class Listener(threading.Thread):
    """Hears the buyer's live stream, and comes back to where it was when the stream breaks off."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.told: list[str] = []
        self.opened = 0
        self._url, self._headers, self._last = url, headers, ""
        self._over = threading.Event()

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=httpx.Timeout(5, read=TRY_SECONDS * 2)) as http:
            while not self._over.is_set():
                resumed = {"Last-Event-ID": self._last} if self._last else {}
                try:
                    with http.stream("GET", "/live", headers={**self._headers, **resumed}) as answer:
                        if answer.status_code == 200:
                            self.opened += 1
                            self._hear(answer)
                except httpx.TransportError:
                    pass
                self._over.wait(0.5)

    def _hear(self, answer: httpx.Response) -> None:
        kind = ""
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                self._last = value
            elif name == "event":
                kind = value
            elif not line and kind:
                self.told.append(kind)
                kind = ""
            if self._over.is_set():
                return

    def end(self) -> None:
        self._over.set()


def play(url: str, *, meanwhile: str = "") -> dict[str, Any]:
    """The whole job; raises Failed. What came of it."""
    began = time.monotonic()
    mark = secrets.token_hex(4)
    with httpx.Client(base_url=url, timeout=TRY_SECONDS) as http:
        seller, buyer = Person(http, f"seller-{mark}"), Person(http, f"buyer-{mark}")
        seller.sign_up()
        buyer.sign_up()
        offered = {"title": f"Bowl {mark}", "price": {"amount": 1900, "currency": "EUR"}, "stock": 5}
        product = seller.ask("POST", "/api/v1/products", expect=201, json=offered)["id"]
        listener = Listener(url, buyer.headers)
        listener.start()
        wait_for(lambda: listener.opened > 0, "the live stream opens")
        lines = [{"product_id": product, "quantity": 2}]
        order = buyer.ask("POST", "/api/v1/orders", expect=201, json={"lines": lines})["id"]
        if meanwhile:
            subprocess.run(meanwhile, shell=True, check=True)  # noqa: S602 - the operator's own command line
        paid = {"payment": {"method": "card", "token": "tok_ok"}}
        asked = time.monotonic()
        buyer.ask("POST", f"/api/v1/orders/{order}/confirm", expect=200, json=paid)
        wait_for(lambda: state_of(buyer, order) == "ACCEPTED", "the order is accepted")
        accepted = time.monotonic()
        stock = seller.ask("GET", f"/api/v1/products/{product}", expect=200)["stock"]
        if stock != {"on_hand": 3, "reserved": 0}:
            raise Failed(f"the stock is {stock}")
        wait_for(lambda: len(orders_of(listener)) >= len(TOLD), "the live stream tells all of it")
        listener.end()
        if orders_of(listener) != TOLD:
            raise Failed(f"the live stream told {listener.told}")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "confirm_to_accepted_seconds": round(accepted - asked, 2),
        "asked_again": seller.again + buyer.again,
        "streams_opened": listener.opened,
        "told": listener.told,
    }


def orders_of(listener: Listener) -> list[str]:
    """What the stream told of the order."""
    return [kind for kind in listener.told if kind.startswith("order.")]


def state_of(buyer: Person, order: str) -> str:
    """The order's state; anything but a way to ACCEPTED ends the job."""
    found = buyer.ask("GET", f"/api/v1/orders/{order}", expect=200)
    if found["state"] not in ("PENDING_CONFIRMATION", "CONFIRMED", "ACCEPTED"):
        raise Failed(f"the order is {found['state']} ({found['reason']})")
    return str(found["state"])


def wait_for(is_so: Any, what: str) -> None:
    """Wait until it is so; raises Failed after the patience of the job."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > until:
            raise Failed(f"not within {PATIENCE_SECONDS:.0f} s: {what}")
        time.sleep(0.1)


def main() -> None:
    """Play it once and print what came of it as one line of JSON; exit code 1 and the reason when it failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--meanwhile", default="", metavar="COMMAND")
    asked = parser.parse_args()
    try:
        told = play(asked.url, meanwhile=asked.meanwhile)
    except Failed as failed:
        sys.exit(f"failed: {failed}")
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
