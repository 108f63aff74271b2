"""The doors of webhooks: who may do what to which, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from souk.webhooks.models import Webhook
from souk.webhooks.operations.registering import MOST_WEBHOOKS
from tests.callers import Answer, Api, SignedIn

EVERYWHERE = {"url": "https://example.org/hook"}


def test_a_new_webhook_shows_its_secret_once_and_is_stored_sealed(seller: SignedIn) -> None:
    made = seller.post("/webhooks", {"url": "https://example.org/hook", "types": ["order.placed"], "description": "x"})
    assert made.status == 201
    secret = made.body.pop("secret")
    assert secret.startswith("whsec_")
    assert len(secret) == 50
    assert made.headers["Location"] == f"/api/v1/webhooks/{made.body['id']}"
    assert {name: made.body[name] for name in ("url", "types", "description", "state", "disabled_reason")} == {
        "url": "https://example.org/hook",
        "types": ["order.placed"],
        "description": "x",
        "state": "ENABLED",
        "disabled_reason": None,
    }
    assert seller.get(f"/webhooks/{made.body['id']}").body == made.body
    assert seller.get("/webhooks").body == {"results": [made.body], "next": None}
    with connection.cursor() as cursor:
        cursor.execute("SELECT w::text FROM webhooks_webhook w")
        (row,) = cursor.fetchone()
    assert secret not in row
    assert secret.removeprefix("whsec_") not in row


def test_a_replayed_request_never_repeats_the_secret(seller: SignedIn) -> None:
    key = {"Idempotency-Key": "once"}
    made = seller.post("/webhooks", EVERYWHERE, headers=key)
    again = seller.post("/webhooks", EVERYWHERE, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.body == {name: value for name, value in made.body.items() if name != "secret"}
    rotated = seller.post(f"/webhooks/{made.body['id']}/rotate", headers={"Idempotency-Key": "turn"})
    assert rotated.body["secret"] != made.body["secret"]
    assert "secret" not in seller.post(f"/webhooks/{made.body['id']}/rotate", headers={"Idempotency-Key": "turn"}).body
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/from", "/to"]),
        ({"from": "2026-01-01T00:00:00Z"}, ["/to"]),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, [""]),
        ({"from": "2026-01-01T00:00:00", "to": "2026-01-02T00:00:00"}, ["/from", "/to"]),
        ({"from": 1, "to": 2}, ["/from", "/to"]),
        ({"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}, ["/end", "/from", "/start", "/to"]),
    ],
)
def test_a_replay_of_no_range_is_refused_by_the_names_that_were_sent(
    seller: SignedIn, body: dict[str, Any], pointers: list[str]
) -> None:
    webhook = seller.post("/webhooks", EVERYWHERE).body
    refused = seller.post(f"/webhooks/{webhook['id']}/replay", body)
    assert (refused.code, sorted(refused.pointers)) == ("validation_failed", pointers)


def test_a_webhook_is_changed_and_deleted_by_its_owner_alone(seller: SignedIn, stranger: SignedIn) -> None:
    webhook = seller.post("/webhooks", EVERYWHERE).body
    path = f"/webhooks/{webhook['id']}"
    changed = seller.patch(path, {"types": ["order.placed", "order.placed"], "description": "Mine"})
    assert (changed.body["types"], changed.body["description"]) == (["order.placed"], "Mine")
    assert seller.patch(path, {"state": "DISABLED"}).body["disabled_reason"] == "owner"
    for refused in every_door(stranger, path):
        assert (refused.status, refused.code) == (404, "not_found")
    for refused in every_door(Api(), path):
        assert (refused.status, refused.code) == (401, "not_authenticated")
    assert seller.get(path).body["description"] == "Mine"
    assert seller.delete(path).status == 204
    for refused in every_door(seller, path):
        assert (refused.status, refused.code) == (404, "not_found")
    assert seller.get("/webhooks").body["results"] == []


def every_door(caller: Api, path: str) -> list[Answer]:
    span = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
    return [
        caller.get(path),
        caller.patch(path, {"description": "Theirs"}),
        caller.post(f"{path}/rotate"),
        caller.post(f"{path}/test"),
        caller.post(f"{path}/replay", span),
        caller.get(f"{path}/deliveries"),
        caller.delete(path),
    ]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/url"]),
        ({**EVERYWHERE, "types": ["order.placed", "order.eaten"]}, ["/types/1"]),
        ({**EVERYWHERE, "types": "order.placed"}, ["/types"]),
        ({**EVERYWHERE, "description": "x" * 201}, ["/description"]),
        ({**EVERYWHERE, "secret": "whsec_mine"}, ["/secret"]),
        ({"url": "https://example.org/" + "x" * 10_000}, ["/url"]),
        ({"url": "https://exa\0mple.org/"}, ["/url"]),
    ],
)
def test_a_webhook_with_wrong_values_is_refused(seller: SignedIn, body: dict[str, Any], pointers: list[str]) -> None:
    refused = seller.post("/webhooks", body)
    assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", pointers)
    assert Webhook.all_objects.count() == 0


def test_a_user_has_at_most_twenty_webhooks(seller: SignedIn) -> None:
    for _ in range(MOST_WEBHOOKS):
        made = seller.post("/webhooks", EVERYWHERE)
        assert made.status == 201
    refused = seller.post("/webhooks", EVERYWHERE)
    assert (refused.status, refused.body["errors"][0]["code"]) == (400, "too_many_webhooks")
    assert len(seller.get("/webhooks", limit=100).body["results"]) == MOST_WEBHOOKS
    seller.delete(f"/webhooks/{made.body['id']}")
    assert seller.post("/webhooks", EVERYWHERE).status == 201
