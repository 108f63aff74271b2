"""Who sells and buys at a whole Souk beside real servers."""

from __future__ import annotations

from typing import Any

import httpx

from tests.callers import PASSWORD


def sign_up(client: httpx.Client, name: str) -> dict[str, str]:
    made = client.post("/api/v1/users", json={"username": name, "password": PASSWORD})
    assert made.status_code == 201, made.text
    asked = {"grant_type": "password", "username": name, "password": PASSWORD, "client_id": "souk-web"}
    return {"Authorization": "Bearer " + client.post("/oauth/token", data=asked).json()["access_token"]}


def offer(client: httpx.Client, seller: dict[str, str], title: str, **more: Any) -> str:
    body = {"title": title, "price": {"amount": 100, "currency": "EUR"}, "stock": 3, **more}
    made = client.post("/api/v1/products", json=body, headers=seller)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])
