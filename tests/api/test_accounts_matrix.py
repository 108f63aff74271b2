"""Every route of the URL configuration, asked by everybody: who is let in, who is not, and who is out at once.

A route or a method without a row here fails the test: say who may use it before it goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from django.urls import URLResolver, get_resolver

from souk.accounts.operations import create_user, lock_user
from souk.web.shop import PLACES
from tests.callers import PASSWORD, Answer, Api, SignedIn

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
HOOK = {"url": "https://shop.example/hook"}
numbers = count()


@dataclass
class World:
    """Who is there, and what can be made for one question."""

    owner: SignedIn
    stranger: SignedIn
    staff: SignedIn
    other: SignedIn
    dead: list[SignedIn]

    def product(self) -> str:
        return str(self.owner.offer()["id"])

    def draft(self) -> str:
        return str(self.owner.offer(state="DRAFT")["id"])

    def others_product(self) -> str:
        return str(self.other.offer()["id"])

    def order(self) -> str:
        return str(self.owner.order((self.other.offer(), 1)).body["id"])

    def sale(self) -> str:
        return str(self.other.order((self.owner.offer(), 1)).body["id"])

    def webhook(self) -> str:
        return str(self.owner.post("/webhooks", HOOK).body["id"])

    def tag(self) -> str:
        return str(self.staff.post("/tags", {"name": f"tag-{next(numbers)}"}).body["name"])

    def tagged(self) -> str:
        tag = self.tag()
        return f"{self.owner.offer(tags=[tag])['id']}/tags/{tag}"


@dataclass(frozen=True)
class Row:
    """One question: the route, how it is asked, and what each caller hears."""

    route: str
    method: str
    anonymous: int
    stranger: int
    staff: int
    owner: int
    path: Callable[[World], str] | str | None = None
    body: Callable[[World], Any] | Any = None
    # Whether the door looks at tokens at all: then a dead one is 401, whatever the door is.
    tokens: bool = True

    def ask(self, world: World, caller: Api, path: str) -> Answer:
        body = self.body(world) if callable(self.body) else self.body
        return caller.send(self.method, path, body)


def everybody(route: str, method: str, status: int, **more: Any) -> Row:
    return Row(route, method, status, status, status, status, **more)


def signed_in(route: str, method: str, status: int, **more: Any) -> Row:
    return Row(route, method, 401, status, status, status, **more)


def own(route: str, method: str, status: int, *, others: int = 404, **more: Any) -> Row:
    return Row(route, method, 401, others, others, status, **more)


def staff_only(route: str, method: str, status: int, **more: Any) -> Row:
    return Row(route, method, 401, 403, status, 403, **more)


def newcomer(world: World) -> dict[str, str]:
    return {"username": f"newcomer-{next(numbers)}", "password": PASSWORD}


def wanted(world: World) -> dict[str, Any]:
    return {"lines": [{"product_id": world.others_product(), "quantity": 1}]}


BOWL = {"title": "Bowl", "price": {"amount": 1, "currency": "EUR"}, "stock": 1}
PAYMENT = {"payment": {"method": "card", "token": "tok_ok"}}
WRONG = "wrong horse battery"
ROWS = [
    everybody("products", "GET", 200),
    signed_in("products", "POST", 201, body=BOWL),
    signed_in("me/products", "GET", 200),
    everybody("products/<uuid:product_id>", "GET", 200, path=lambda w: f"/products/{w.product()}"),
    Row("products/<uuid:product_id>", "GET", 404, 404, 404, 200, path=lambda w: f"/products/{w.draft()}"),
    own("products/<uuid:product_id>", "PATCH", 200, others=403, path=lambda w: f"/products/{w.product()}", body={}),
    own("products/<uuid:product_id>", "DELETE", 204, others=403, path=lambda w: f"/products/{w.product()}"),
    own("products/<uuid:product_id>/activate", "POST", 200, path=lambda w: f"/products/{w.draft()}/activate"),
    own(
        "products/<uuid:product_id>/archive", "POST", 200, others=403, path=lambda w: f"/products/{w.product()}/archive"
    ),
    own("products/<uuid:product_id>/tags/<str:name>", "PUT", 204, others=403, path=lambda w: f"/products/{w.tagged()}"),
    own(
        "products/<uuid:product_id>/tags/<str:name>",
        "DELETE",
        204,
        others=403,
        path=lambda w: f"/products/{w.tagged()}",
    ),
    own(
        "products/<uuid:product_id>/stock-movements",
        "GET",
        200,
        others=403,
        path=lambda w: f"/products/{w.product()}/stock-movements",
    ),
    own(
        "products/<uuid:product_id>/stock-movements",
        "POST",
        201,
        others=403,
        path=lambda w: f"/products/{w.product()}/stock-movements",
        body={"change": 1, "reason": "received"},
    ),
    everybody("tags", "GET", 200),
    staff_only("tags", "POST", 201, body=lambda w: {"name": f"new-tag-{next(numbers)}"}),
    everybody("tags/<str:name>", "GET", 200, path=lambda w: f"/tags/{w.tag()}"),
    staff_only("tags/<str:name>", "PATCH", 200, path=lambda w: f"/tags/{w.tag()}", body={"description": "x"}),
    staff_only("tags/<str:name>", "DELETE", 204, path=lambda w: f"/tags/{w.tag()}"),
    signed_in("bag", "GET", 200),
    signed_in("bag/lines", "DELETE", 204),
    signed_in(
        "bag/lines/<uuid:product_id>",
        "PUT",
        200,
        path=lambda w: f"/bag/lines/{w.others_product()}",
        body={"quantity": 1},
    ),
    signed_in("bag/lines/<uuid:product_id>", "DELETE", 204, path=lambda w: f"/bag/lines/{w.others_product()}"),
    signed_in("bag/order", "POST", 201),
    signed_in("orders", "GET", 200),
    signed_in("orders", "POST", 201, body=wanted),
    own("orders/<uuid:order_id>", "GET", 200, path=lambda w: f"/orders/{w.order()}"),
    own("orders/<uuid:order_id>/confirm", "POST", 200, path=lambda w: f"/orders/{w.order()}/confirm", body=PAYMENT),
    own("orders/<uuid:order_id>/cancel", "POST", 200, path=lambda w: f"/orders/{w.order()}/cancel"),
    own("orders/<uuid:order_id>/history", "GET", 200, path=lambda w: f"/orders/{w.order()}/history"),
    signed_in("sales", "GET", 200),
    own("sales/<uuid:order_id>", "GET", 200, path=lambda w: f"/sales/{w.sale()}"),
    everybody("users", "GET", 200, path="/users?username=owner"),
    everybody("users", "POST", 201, body=newcomer),
    everybody("users/<uuid:user_id>", "GET", 200, path=lambda w: f"/users/{w.owner.id}"),
    Row("users/<uuid:user_id>", "GET", 404, 404, 404, 404, path=lambda w: f"/users/{w.dead[0].id}"),
    signed_in("users/<uuid:user_id>/follow", "PUT", 204, path=lambda w: f"/users/{w.other.id}/follow"),
    signed_in("users/<uuid:user_id>/follow", "DELETE", 204, path=lambda w: f"/users/{w.other.id}/follow"),
    everybody("users/<uuid:user_id>/products", "GET", 200, path=lambda w: f"/users/{w.owner.id}/products"),
    everybody("users/<uuid:user_id>/followers", "GET", 200, path=lambda w: f"/users/{w.owner.id}/followers"),
    signed_in("me", "GET", 200),
    signed_in("me", "PATCH", 200, body={}),
    signed_in("me/following", "GET", 200),
    signed_in("me/feed", "GET", 200),
    signed_in("me/delete", "POST", 400, body={"password": WRONG}),
    signed_in("me/password", "POST", 400, body={"current_password": WRONG, "new_password": PASSWORD}),
    everybody("password-resets", "POST", 202, body={"email": "nobody@example.org"}),
    everybody("password-resets/confirm", "POST", 400, body={"token": "x", "new_password": PASSWORD}),
    everybody("email-verifications/confirm", "POST", 400, body={"token": "x"}),
    everybody("machines", "GET", 200),
    everybody("machines/<str:name>", "GET", 200, path="/machines/order"),
    signed_in("events", "GET", 200),
    # Past the question who asks: these tests have no server to keep a ticket.
    signed_in("live/tickets", "POST", 503),
    signed_in("webhooks", "GET", 200),
    signed_in("webhooks", "POST", 201, body=HOOK),
    own("webhooks/<uuid:webhook_id>", "GET", 200, path=lambda w: f"/webhooks/{w.webhook()}"),
    own("webhooks/<uuid:webhook_id>", "PATCH", 200, path=lambda w: f"/webhooks/{w.webhook()}", body={}),
    own("webhooks/<uuid:webhook_id>", "DELETE", 204, path=lambda w: f"/webhooks/{w.webhook()}"),
    own("webhooks/<uuid:webhook_id>/rotate", "POST", 200, path=lambda w: f"/webhooks/{w.webhook()}/rotate"),
    own("webhooks/<uuid:webhook_id>/test", "POST", 202, path=lambda w: f"/webhooks/{w.webhook()}/test"),
    own(
        "webhooks/<uuid:webhook_id>/replay",
        "POST",
        202,
        path=lambda w: f"/webhooks/{w.webhook()}/replay",
        body={"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"},
    ),
    own("webhooks/<uuid:webhook_id>/deliveries", "GET", 200, path=lambda w: f"/webhooks/{w.webhook()}/deliveries"),
    # The page of the shop front is the same for everybody: what it shows it asks the API for.
    *(everybody(f"//{place}", "GET", 200, tokens=False) for place in PLACES),
    everybody("//assets/<str:version>/<path:name>", "GET", 404, tokens=False),
    everybody("//static/<path:name>", "GET", 404, tokens=False),
    everybody("openapi.json", "GET", 200),
    everybody("docs", "GET", 200),
    everybody("redoc", "GET", 200),
    everybody("//problems", "GET", 200, tokens=False),
    everybody("//problems/<str:code>", "GET", 200, tokens=False, path="//problems/not_found"),
    everybody("//machines", "GET", 200, tokens=False),
    everybody("//guide", "GET", 302, tokens=False),
    everybody("//guide/", "GET", 404, tokens=False, path="//guide/nothing"),
    everybody("//guide/<path:name>", "GET", 404, tokens=False, path="//guide/nothing"),
    everybody("//reading/<str:folder>/<path:name>", "GET", 200, tokens=False, path="//reading/pages/pages.css"),
    everybody("//health/live", "GET", 200, tokens=False),
    everybody("//health/ready", "GET", 200, tokens=False),
    everybody("//metrics", "GET", 200, tokens=False),
    everybody("//oauth/token", "POST", 400, tokens=False),
    everybody("//oauth/revoke", "POST", 400, tokens=False),
    everybody("//.well-known/oauth-authorization-server", "GET", 200, tokens=False),
]


def routes(resolver: Any, prefix: str = "/") -> Iterator[tuple[str, str]]:
    """Every method of every route; of a plain view only that it is there."""
    for one in resolver.url_patterns:
        at = prefix + str(one.pattern)
        if at == "/admin/":  # known by a cookie, not by a token: tests/api/test_staff_pages.py walks these
            continue
        if isinstance(one, URLResolver):
            yield from routes(one, at)
            continue
        view = getattr(one.callback, "cls", None) or getattr(one.callback, "view_class", None)
        at = f"/{at}" if not at.startswith("/api/v1/") else at.removeprefix("/api/v1/")
        yield from ((at, method if view else "any") for method in METHODS if not view or hasattr(view, method.lower()))


def test_every_route_has_a_row_that_says_who_may_use_it() -> None:
    there = set(routes(get_resolver()))
    told = {(row.route, row.method) for row in ROWS}
    plain = {(route, "any") for route, method in told if (route, "any") in there}
    assert sorted(there - told - plain) == []
    assert sorted((route, method) for route, method in told - there if (route, "any") not in plain) == []


@pytest.fixture
def world(anonymous: Api) -> World:
    for name in ("locked", "leaver", "changed", "owner", "stranger", "other"):
        SignedIn.register(name)
    staff = create_user(username="staff", password=PASSWORD, is_staff=True)
    by_name = {
        name: SignedIn.sign_in(name, Api().get("/users", username=name).body["results"][0]["id"])
        for name in ("locked", "leaver", "changed", "owner", "stranger", "other", "staff")
    }
    assert by_name["staff"].id == str(staff.pk)
    lock_user(username="locked")
    assert by_name["leaver"].post("/me/delete", {"password": PASSWORD}).status == 204
    change = {"current_password": PASSWORD, "new_password": "another horse battery"}
    assert by_name["changed"].post("/me/password", change).status == 204
    dead = [by_name[name] for name in ("locked", "leaver", "changed")]
    return World(by_name["owner"], by_name["stranger"], by_name["staff"], by_name["other"], dead)


def test_every_route_lets_in_whom_it_should_and_nobody_else(world: World) -> None:
    heard: dict[str, tuple[int, int]] = {}
    for row in ROWS:
        path = row.path(world) if callable(row.path) else row.path or f"/{row.route}".replace("///", "//")
        asked = [("anonymous", Api(), row.anonymous)]
        asked += [(caller.username, caller, 401 if row.tokens else row.anonymous) for caller in world.dead]
        people = (world.stranger, row.stranger), (world.staff, row.staff), (world.owner, row.owner)
        asked += [(caller.username, caller, status) for caller, status in people]
        # Whoever may do it comes last, since it may change what the others see.
        for name, caller, expected in sorted(asked, key=lambda one: -one[2]):
            if row.route == "bag/order" and isinstance(caller, SignedIn) and caller not in world.dead:
                caller.put(f"/bag/lines/{world.others_product()}", {"quantity": 1})
            answer = row.ask(world, caller, path)
            if answer.status != expected:
                heard[f"{row.method} {row.route} by {name}"] = (answer.status, expected)
    assert heard == {}
