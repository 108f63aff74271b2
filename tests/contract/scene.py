"""Who walks the corpus, what there is for them, and which rows a request changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import psycopg

from tests.callers import PASSWORD
from tests.contract.corpus import Case, Door

UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
BOWL = {"title": "Bowl", "price": {"amount": 100, "currency": "EUR"}, "stock": 1_000_000, "tags": ["walnut"]}
CARD = {"payment": {"method": "card", "token": "tok_ok"}}
# Good bodies of operations whose examples are all refused: these are, too, but for their values alone.
REFUSED_BODIES: Mapping[str, Any] = {
    "delete_me": {"password": "not the one"},
    "change_password": {"current_password": "not the one", "new_password": PASSWORD},
    "reset_password": {"token": "nothing", "new_password": PASSWORD},
    "verify_email": {"token": "nothing"},
    "replay_webhook": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"},
}
FORMS: Mapping[str, dict[str, str]] = {
    "issue_token": {
        "grant_type": "password", "username": "evil-seller", "password": PASSWORD, "client_id": "souk-web",
        "scope": "souk",
    },
    "revoke_token": {"token": "nothing", "client_id": "souk-web", "token_type_hint": "access_token"},
}  # fmt: skip


class Rows:
    """The rows of a database, and whether any was written since they were last looked at."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        names = self._connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        # Where a row lies and who wrote it: any insert, update or delete shows, one to the same values too.
        self._question = " UNION ALL ".join(
            f"SELECT '{name}', count(*), sum(hashtextextended(ctid::text || ' ' || xmin::text, 0)) FROM {name}"  # noqa: S608  # names from the catalogue
            for (name,) in names
        )
        self._horizon, self._known = self._now(), self._fingerprint()

    def changed(self) -> set[str]:
        """The tables that were written to since the last call."""
        now = self._now()
        if now == self._horizon:
            return set()  # no transaction has had anything to write
        before, self._known = self._known, self._fingerprint()
        self._horizon = self._now()
        return {name for name, rows in self._known.items() if rows != before[name]}

    def settle(self) -> None:
        """Take what there is for known, once every event has its position: the live process numbers them by itself."""
        waiting = "SELECT count(*) FROM eventlog_event WHERE position IS NULL"
        while self._connection.execute(waiting).fetchone() != (0,):
            self._connection.execute("SELECT number_events(1000)")
        self.changed()

    def close(self) -> None:
        self._connection.close()

    def _now(self) -> int:
        row = self._connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchone()
        assert row is not None
        return int(row[0])

    def _fingerprint(self) -> dict[str, tuple[int, Any]]:
        return {name: (count, digest) for name, count, digest in self._connection.execute(self._question).fetchall()}


class Scene:
    """A seller, a buyer, somebody of the staff, and what is theirs. `client` gives a new client of the application."""

    def __init__(self, client: Callable[[], httpx.Client], database: str) -> None:
        self._another, self.client = client, client()
        self.tokens: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        self.session = ""
        self._number = 0
        for name in ("seller", "buyer", "staff"):
            made = self._made("POST", "/users", None, {"username": f"evil-{name}", "password": PASSWORD})
            self.ids[name] = made["id"]
        with psycopg.connect(database) as connection:
            connection.execute(
                "UPDATE accounts_user SET is_staff = true, is_superuser = true WHERE username = 'evil-staff'"
            )
        for name in ("seller", "buyer", "staff"):
            form = {"grant_type": "password", "client_id": "souk-web", "username": f"evil-{name}", "password": PASSWORD}
            self.tokens[name] = self.client.post("/oauth/token", data=form).raise_for_status().json()["access_token"]
        self._made("POST", "/tags", "staff", {"name": "walnut"})
        self.ids["user_id"] = self.ids["buyer"]
        self.session = self._signed_in_to_the_pages()
        for part in ("product", "order", "webhook", "tag", "bag"):
            self._renew(part)

    def door(self, method: str, path: str, operation: dict[str, Any] | None) -> Door:
        """A door with the body that it takes."""
        if operation is None:
            return Door(method, path)
        name = operation["operationId"]
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        shown: dict[str, Any] = next(iter(content.get("examples", {}).values()), {})
        body = REFUSED_BODIES.get(name) or shown.get("value")
        if body is not None:
            body = json.loads(UUIDS.sub(self.ids["product_id"], json.dumps(body)))
        return Door(method, path, operation, body, FORMS.get(name))

    def token(self, case: Case) -> str:
        """The token of whoever may pass this door."""
        path = case.door.path
        if path.startswith("/api/v1/tags") and case.door.method != "GET":
            return self.tokens["staff"]
        return self.tokens["buyer" if path.startswith(("/api/v1/orders", "/api/v1/bag")) else "seller"]

    def address(self, case: Case) -> str:
        """The path with the ids of what is there."""
        names = {"/api/v1/machines/{name}": "order", "/api/v1/products/{product_id}/tags/{name}": "walnut"}
        path = case.path.replace("{name}", names.get(case.door.path, self.ids["name"]))
        for name in ("product_id", "user_id", "order_id", "webhook_id"):
            path = path.replace(f"{{{name}}}", self.ids[name])
        return path

    def after_a_change(self, case: Case) -> None:
        """Put in order again what an accepted request may have used up."""
        path = case.door.path
        if path.startswith("/api/v1/products/{product_id}"):
            self._renew("product")
        if path.startswith("/api/v1/orders/{order_id}"):
            self._renew("order")
        if path.startswith("/api/v1/webhooks"):
            self._renew("webhook")
        if path.startswith("/api/v1/bag"):
            self._renew("bag")
        if path == "/api/v1/tags/{name}":
            self._renew("tag")

    def _renew(self, part: str) -> None:
        if part == "product":
            self.ids["product_id"] = self._made("POST", "/products", "seller", BOWL)["id"]
        elif part == "order":
            lines = [{"product_id": self.ids["product_id"], "quantity": 1}]
            self.ids["order_id"] = self._made("POST", "/orders", "buyer", {"lines": lines})["id"]
        elif part == "webhook":
            for hook in self._made("GET", "/webhooks", "seller")["results"]:
                self._made("DELETE", f"/webhooks/{hook['id']}", "seller")
            self.ids["webhook_id"] = self._made("POST", "/webhooks", "seller", {"url": "https://shop.example/"})["id"]
        elif part == "tag":
            self._number += 1
            self.ids["name"] = self._made("POST", "/tags", "staff", {"name": f"evil-{self._number}"})["name"]
        else:
            self._made("PUT", f"/bag/lines/{self.ids['product_id']}", "buyer", {"quantity": 1})

    def _made(self, method: str, path: str, who: str | None, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        answer = self.client.request(method, f"/api/v1{path}", json=body, headers=headers)
        assert answer.status_code < 300, (method, path, answer.text)
        return answer.json() if answer.content else None

    def _signed_in_to_the_pages(self) -> str:
        """The cookies of somebody of the staff at /admin/."""
        with self._another() as browser:
            shown = browser.get("/admin/login/").text
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', shown)
            assert token is not None
            form = {"csrfmiddlewaretoken": token[1], "username": "evil-staff", "password": PASSWORD, "next": "/admin/"}
            answer = browser.post(
                "/admin/login/", data=form, headers={"Referer": f"{self.client.base_url}/admin/login/"}
            )
            assert answer.status_code == 302, answer.text[:500]
            return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
