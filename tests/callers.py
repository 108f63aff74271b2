"""Who speaks to the API in tests, and how what they hear is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

import msgspec
from django.test import Client
from django.test.client import ClientHandler

from souk.kit.front import Front

PASSWORD = "correct horse battery"  # the password of every user that tests register


@dataclass(frozen=True)
class Answer:
    """An answer: status, decoded body, headers."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> str:
        """The code of a problem."""
        assert self.headers["Content-Type"] == "application/problem+json", (self.status, self.body)
        assert self.body["status"] == self.status
        assert self.body["type"] == f"/problems/{self.body['code']}"
        assert self.body["request_id"]
        return str(self.body["code"])

    @property
    def pointers(self) -> list[str]:
        """The places that a problem's errors name, in order."""
        return [str(error.get("pointer", error.get("parameter"))) for error in self.body["errors"]]

    @property
    def etag(self) -> str:
        """The entity tag, without its quotes."""
        return self.headers["ETag"].strip('"')


class Through(ClientHandler, Front):  # type: ignore[misc]  # called as the former, answering as the latter
    """What answers in tests: the way that the WSGI application goes, with Django's client instead of a server."""

    def __init__(self) -> None:
        self.enforce_csrf_checks = False  # and the middleware is loaded by the first request, as the settings are then


class Asking(Client):
    """Django's client, which is answered as a server would be and keeps what a view raised to itself."""

    def __init__(self) -> None:
        super().__init__(raise_request_exception=False)
        self.handler = Through()


class Api:
    """A caller without a token."""

    token: str | None = None

    def __init__(self) -> None:
        self._client = Asking()

    def get(self, path: str, *, headers: dict[str, str] | None = None, **query: Any) -> Answer:
        """GET below /api/v1; keyword arguments are the query."""
        address = path + ("?" + urlencode(query, doseq=True) if query else "")
        return self.send("GET", address, headers=headers)

    def post(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Answer:
        """POST this as JSON; nothing when it is None."""
        return self.send("POST", path, body, headers=headers)

    def patch(self, path: str, body: Any, *, headers: dict[str, str] | None = None) -> Answer:
        """PATCH with this as JSON."""
        return self.send("PATCH", path, body, headers=headers)

    def put(self, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Answer:
        """PUT this as JSON; nothing when it is None."""
        return self.send("PUT", path, body, headers=headers)

    def delete(self, path: str, *, headers: dict[str, str] | None = None) -> Answer:
        """DELETE."""
        return self.send("DELETE", path, headers=headers)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Any request below /api/v1 (or at the root: `//oauth/token`). Bytes are sent as they are."""
        address = path[1:] if path.startswith("//") else f"/api/v1{path}"
        raw = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        sent = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})}
        response = self._client.generic(method, address, raw, content_type=content_type if raw else "", headers=sent)
        media = response.headers.get("Content-Type", "")
        content = response.content
        decoded = msgspec.json.decode(content) if "json" in media and content else content.decode()
        return Answer(response.status_code, decoded, dict(response.headers))

    def form(self, path: str, **fields: str) -> Answer:
        """POST a form to an address at the root."""
        return self.send(
            "POST", f"/{path}", urlencode(fields).encode(), content_type="application/x-www-form-urlencoded"
        )


class SignedIn(Api):
    """A registered user with a token."""

    def __init__(self, username: str, user_id: str, token: str, refresh_token: str) -> None:
        super().__init__()
        self.username, self.id, self.token, self.refresh_token = username, user_id, token, refresh_token

    @classmethod
    def register(cls, username: str) -> Self:
        """Register through the API and sign in."""
        made = Api().post("/users", {"username": username, "password": PASSWORD})
        assert made.status == 201, made.body
        return cls.sign_in(username, made.body["id"])

    @classmethod
    def sign_in(cls, username: str, user_id: str) -> Self:
        """Get a token by the password flow."""
        given = Api().form(
            "/oauth/token", grant_type="password", username=username, password=PASSWORD, client_id="souk-web"
        )
        assert given.status == 200, given.body
        return cls(username, user_id, given.body["access_token"], given.body["refresh_token"])

    def offer(self, title: str = "Walnut bowl", *, stock: int = 10, price: int = 1999, **more: Any) -> dict[str, Any]:
        """Create a product and return it."""
        body = {"title": title, "price": {"amount": price, "currency": "EUR"}, "stock": stock, **more}
        made = self.post("/products", body)
        assert made.status == 201, made.body
        return dict(made.body)

    def order(self, *lines: tuple[dict[str, Any], int]) -> Answer:
        """Place an order of (product, quantity) pairs."""
        return self.post("/orders", {"lines": [{"product_id": p["id"], "quantity": n} for p, n in lines]})
