"""People of the browser tests: accounts and products made over HTTP, so that a test clicks only what it is about."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import httpx

PASSWORD = "correct horse battery"


@dataclass
class Person:
    """An account, its tokens, and what it does without a browser."""

    base_url: str
    username: str
    id: str
    access: str
    refresh: str

    @classmethod
    def register(cls, base_url: str, kind: str, *, display_name: str = "") -> Person:
        username = f"{kind}-{secrets.token_hex(4)}"
        body = {"username": username, "password": PASSWORD, "display_name": display_name}
        made = httpx.post(f"{base_url}/api/v1/users", json=body, timeout=30)
        assert made.status_code == 201, made.text
        access, refresh = sign_in(base_url, username)
        return cls(base_url, username, made.json()["id"], access, refresh)

    def signed_in(self) -> Person:
        """The same person with tokens of another sign-in: a browser uses its refresh token up."""
        access, refresh = sign_in(self.base_url, self.username)
        return Person(self.base_url, self.username, self.id, access, refresh)

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """Ask the API as this person; the JSON of the answer."""
        headers = {"Authorization": f"Bearer {self.access}"}
        answer = httpx.request(method, f"{self.base_url}/api/v1{path}", json=body, headers=headers, timeout=30)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def sells(self, title: str, **more: Any) -> str:
        """Put a product on the market; its id."""
        body = {"title": title, "description": "", "price": {"amount": 1250, "currency": "EUR"}, "stock": 9, **more}
        return str(self.ask("POST", "/products", body, status=201)["id"])

    def asks_for_tag(self, name: str) -> bool:
        """Whether there is such a tag."""
        return httpx.get(f"{self.base_url}/api/v1/tags/{name}", timeout=30).status_code == 200

    def orders(self, product: str, quantity: int = 1) -> dict[str, Any]:
        """Place an order and leave it unpaid."""
        placed = self.ask("POST", "/orders", {"lines": [{"product_id": product, "quantity": quantity}]}, status=201)
        return dict(placed)

    def revoke(self, token: str) -> None:
        form = {"client_id": "souk-web", "token": token}
        assert httpx.post(f"{self.base_url}/oauth/revoke", data=form, timeout=30).status_code == 200


def sign_in(base_url: str, username: str) -> tuple[str, str]:
    """A fresh access and refresh token."""
    form = {"grant_type": "password", "username": username, "password": PASSWORD, "client_id": "souk-web"}
    answer = httpx.post(f"{base_url}/oauth/token", data=form, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"], answer.json()["refresh_token"]
