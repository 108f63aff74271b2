"""The examples of the contract are real: each was asked of a running server, and is asked again here.

`SOUK_WRITE_EXAMPLES=1 pytest tests/stack/test_examples.py` writes docs/examples anew; then `souk django write_docs`.
"""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from souk.settings import CHECKOUT
from tests.callers import PASSWORD
from tests.exchanges import ALIKE, Exchanges, stale
from tests.stack.conftest import SoukStack
from tests.stack.lone import running_api
from tests.stack.private import wait_for

FOLDER = CHECKOUT / "docs" / "examples"
NOTHING = str(uuid.UUID(int=1))
BOWL = {
    "title": "Walnut bowl", "description": "Turned by hand.", "price": {"amount": 1999, "currency": "EUR"},
    "stock": 10, "tags": ["walnut"], "images": [{"url": "https://img.example/bowl.jpg", "alt": "A bowl of dark wood"}],
}  # fmt: skip
JSON = {"Content-Type": "application/json"}
PAID = {"payment": {"method": "card", "token": "tok_ok"}}


@dataclass
class People:
    """The tokens of those who ask, and the ids they need."""

    ada: str
    ben: str
    staff: str
    ada_id: str


@pytest.fixture(scope="module")
def exchanges(souk_stack: SoukStack, tmp_path_factory: pytest.TempPathFactory) -> Exchanges:
    made = Exchanges(souk_stack.base_url)
    mark = uuid.uuid4().hex[:8]
    made.names = {f"walnut-{mark}": "walnut", f"staff-{mark}": "staff", f"oak-{mark}": "oak"}
    done = souk_stack.souk("user", "create", "--username", f"staff-{mark}", "--password", PASSWORD, "--staff")
    assert done.returncode == 0, done.stderr
    people = _accounts(made, mark)
    BOWL["tags"] = [f"walnut-{mark}"]
    _tags(made, people, mark)
    bowl = _products(made, people)
    _orders(made, people, bowl, mark)
    _bags(made, people, bowl)
    _expired(made, people, bowl, souk_stack.environment["SOUK_DATABASE_URL"])
    _by_mail(made, souk_stack.home / "mail", mark)
    _webhooks(made, people)
    _the_rest(made, people, bowl)
    _when_parts_fail(made, souk_stack, tmp_path_factory.mktemp("alone"), mark)
    return made


def _accounts(made: Exchanges, mark: str) -> People:
    for name in ("ada", "ben"):
        made.names[f"{name}-{mark}"] = name
    registration = {"username": f"ada-{mark}", "password": PASSWORD, "display_name": "Ada's workshop"}
    ada = made.ask("register_user", "Ada registers", "POST", "/users", body=registration).json()
    made.ask("register_user", "The name is taken", "POST", "/users", body=registration)
    made.ask("register_user", "Two values are wrong", "POST", "/users", body={"username": "a", "password": "short"})
    form = {"grant_type": "password", "client_id": "souk-web", "username": f"ada-{mark}", "password": PASSWORD}
    given = made.ask("issue_token", "Ada signs in", "POST", "//oauth/token", form=form).json()
    made.ask("issue_token", "A wrong password", "POST", "//oauth/token", form={**form, "password": "wrong"})
    refresh = {"grant_type": "refresh_token", "client_id": "souk-web", "refresh_token": given["refresh_token"]}
    token = made.ask("issue_token", "Ada refreshes", "POST", "//oauth/token", form=refresh).json()["access_token"]
    made.names[token] = ALIKE["access_token"]
    people = People(token, made.user(f"ben-{mark}", "ben"), made.token(f"staff-{mark}"), ada["id"])
    made.ask("get_me", "Ada looks at herself", "GET", "/me", token=token)
    made.ask("get_me", "Nobody asks", "GET", "/me")
    made.ask("change_me", "Ada says who she is", "PATCH", "/me", token=token, body={"bio": "Bowls and spoons."})
    made.ask("get_user", "Ada, as everybody sees her", "GET", f"/users/{ada['id']}")
    made.ask("find_user", "Ada, by her name", "GET", f"/users?username=ada-{mark}")
    made.ask("follow_user", "Ben follows Ada", "PUT", f"/users/{ada['id']}/follow", token=people.ben)
    made.ask("follow_user", "Ada follows herself", "PUT", f"/users/{ada['id']}/follow", token=token)
    made.ask("list_followers", "Who follows Ada", "GET", f"/users/{ada['id']}/followers")
    made.ask("list_following", "Whom Ben follows", "GET", "/me/following", token=people.ben)
    made.ask("unfollow_user", "Ben follows Ada no more", "DELETE", f"/users/{ada['id']}/follow", token=people.ben)
    made.ask(None, "", "PUT", f"/users/{ada['id']}/follow", token=people.ben)
    made.ask("delete_me", "A wrong password", "POST", "/me/delete", token=people.ben, body={"password": "wrong"})
    change = {"current_password": "wrong", "new_password": PASSWORD}
    made.ask("change_password", "A wrong password", "POST", "/me/password", token=people.ben, body=change)
    made.ask("request_password_reset", "Asked", "POST", "/password-resets", body={"email": "ada@souk.example"})
    return people


def _tags(made: Exchanges, people: People, mark: str) -> None:
    tag = {"name": f"walnut-{mark}", "description": "Things of walnut wood"}
    made.ask("create_tag", "Staff make a tag", "POST", "/tags", token=people.staff, body=tag)
    made.ask("create_tag", "There is one", "POST", "/tags", token=people.staff, body=tag)
    made.ask("create_tag", "Ben is not staff", "POST", "/tags", token=people.ben, body=tag)
    made.ask("get_tag", "A tag", "GET", f"/tags/walnut-{mark}")
    made.ask("list_tags", "Those that begin with wal", "GET", f"/tags?prefix=walnut-{mark}")
    change = {"description": "Things made of walnut"}
    made.ask("change_tag", "Staff describe it", "PATCH", f"/tags/walnut-{mark}", token=people.staff, body=change)
    made.ask(None, "", "POST", "/tags", token=people.staff, body={"name": f"oak-{mark}"})
    made.ask("delete_tag", "Staff delete a tag", "DELETE", f"/tags/oak-{mark}", token=people.staff)


def _products(made: Exchanges, people: People) -> dict[str, Any]:
    ada, ben = people.ada, people.ben
    keyed = {"Idempotency-Key": f"bowl-{uuid.uuid4()}"}
    bowl = made.ask(None, "", "POST", "/products", token=ada, body=BOWL, headers=keyed)
    at = f"/products/{bowl.json()['id']}"
    made.ask("create_product", "Ada offers a bowl", "POST", "/products", token=ada, body=BOWL, headers=keyed)
    other = {**BOWL, "title": "Oak bowl"}
    made.ask("create_product", "The key is used", "POST", "/products", token=ada, body=other, headers=keyed)
    made.ask("create_product", "No JSON", "POST", "/products", token=ada, body=b"{", headers=JSON)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    made.ask("create_product", "Not JSON at all", "POST", "/products", token=ada, body=b"title=Bowl", headers=form)
    made.ask("create_product", "Too large", "POST", "/products", token=ada, body=b" " * 300_000, headers=JSON)
    made.ask("get_product", "The bowl, for Ben", "GET", at, token=ben)
    made.ask("get_product", "The bowl, for Ada", "GET", at, token=ada)
    made.ask("get_product", "Ben has it already", "GET", at, headers={"If-None-Match": bowl.headers["ETag"]})
    made.ask("get_product", "There is none", "GET", f"/products/{NOTHING}")
    made.ask("get_product", "As a picture", "GET", at, headers={"Accept": "image/png"})
    seen, dearer = {"If-Match": bowl.headers["ETag"]}, {"price": {"amount": 2199, "currency": "EUR"}}
    made.ask("change_product", "Ada makes it dearer", "PATCH", at, token=ada, body=dearer, headers=seen)
    made.ask("change_product", "Changed since", "PATCH", at, token=ada, body={"title": "Bowl"}, headers=seen)
    made.ask("change_product", "Ben may not", "PATCH", at, token=ben, body={"title": "Mine"})
    made.ask("archive_product", "Ada takes it off sale", "POST", f"{at}/archive", token=ada)
    made.ask("archive_product", "It is off sale", "POST", f"{at}/archive", token=ada)
    made.ask("activate_product", "Ada puts it back on sale", "POST", f"{at}/activate", token=ada)
    received = {"change": 5, "reason": "received", "note": "From the workshop"}
    made.ask("correct_stock", "Five more came", "POST", f"{at}/stock-movements", token=ada, body=received)
    made.ask("list_stock_movements", "What moved", "GET", f"{at}/stock-movements?limit=1", token=ada)
    made.ask("search_products", "Walnut", "GET", f"/products?q=walnut&seller={people.ada_id}")
    made.ask("search_products", "A limit of none", "GET", "/products?limit=0")
    made.ask("list_user_products", "What Ada sells", "GET", f"/users/{people.ada_id}/products")
    made.ask("list_my_products", "What Ada has", "GET", "/me/products", token=ada)
    made.ask("list_feed", "What is new for Ben", "GET", "/me/feed", token=ben)
    return dict(bowl.json())


def _orders(made: Exchanges, people: People, bowl: dict[str, Any], mark: str) -> None:
    ada, ben = people.ada, people.ben

    def lines(*wanted: tuple[str, int]) -> dict[str, Any]:
        return {"lines": [{"product_id": product, "quantity": quantity} for product, quantity in wanted]}

    order = made.ask("place_order", "Ben orders two", "POST", "/orders", token=ben, body=lines((bowl["id"], 2))).json()
    at = f"/orders/{order['id']}"
    made.ask("place_order", "Too many", "POST", "/orders", token=ben, body=lines((bowl["id"], 1000)))
    made.ask("place_order", "Not for sale", "POST", "/orders", token=ben, body=lines((NOTHING, 1)))
    made.ask("place_order", "Her own", "POST", "/orders", token=ada, body=lines((bowl["id"], 1)))
    dollars = {**BOWL, "price": {"amount": 100, "currency": "USD"}, "stock": 100}
    spoon = made.ask(None, "", "POST", "/products", token=ada, body=dollars).json()
    both = lines((bowl["id"], 1), (spoon["id"], 1))
    made.ask("place_order", "Two currencies", "POST", "/orders", token=ben, body=both)
    made.ask("change_product", "Less than is held", "PATCH", f"/products/{bowl['id']}", token=ada, body={"stock": 0})
    made.ask("get_order", "The order", "GET", at, token=ben)
    made.ask("get_order", "Somebody else's", "GET", at, token=ada)
    made.ask("get_sale", "Ada's part of it", "GET", f"/sales/{order['id']}", token=ada)
    made.ask("confirm_order", "Ben pays", "POST", f"{at}/confirm", token=ben, body=PAID)
    wait_for(lambda: made.ask(None, "", "GET", at, token=ben).json()["state"] == "ACCEPTED", what="it is accepted")
    made.ask("get_order", "Accepted", "GET", at, token=ben)
    made.ask("cancel_order", "Too late", "POST", f"{at}/cancel", token=ben)
    made.ask("list_orders", "Ben's orders", "GET", "/orders?state=CANCELLED", token=ben)
    second = made.ask(None, "", "POST", "/orders", token=ben, body=lines((bowl["id"], 1))).json()
    made.ask("cancel_order", "Ben changes his mind", "POST", f"/orders/{second['id']}/cancel", token=ben)
    made.ask("list_order_history", "What happened", "GET", f"/orders/{second['id']}/history", token=ben)
    made.ask("list_sales", "The latest sale", "GET", "/sales?limit=1", token=ada)
    hoarder = made.user(f"cyd-{mark}", "cyd")
    for _ in range(50):
        assert made.ask(None, "", "POST", "/orders", token=hoarder, body=lines((spoon["id"], 1))).status_code == 201
    made.ask("place_order", "Too many at once", "POST", "/orders", token=hoarder, body=lines((spoon["id"], 1)))


def _bags(made: Exchanges, people: People, bowl: dict[str, Any]) -> None:
    at, ben = f"/bag/lines/{bowl['id']}", people.ben
    made.ask("get_bag", "An empty bag", "GET", "/bag", token=ben)
    made.ask("order_bag", "Nothing is in it", "POST", "/bag/order", token=ben)
    made.ask("set_bag_line", "One bowl", "PUT", at, token=ben, body={"quantity": 1})
    made.ask("remove_bag_line", "None after all", "DELETE", at, token=ben)
    made.ask("empty_bag", "Nothing at all", "DELETE", "/bag/lines", token=ben)
    bag = made.ask("set_bag_line", "Two bowls", "PUT", at, token=ben, body={"quantity": 2})
    seen = {"If-Match": bag.headers["ETag"]}
    made.ask("order_bag", "At the prices shown", "POST", "/bag/order", token=ben, headers=seen)


def _expired(made: Exchanges, people: People, bowl: dict[str, Any], database: str) -> None:
    """An order whose deadline passed, and a key whose first request is being answered: the database is told so."""
    body = {"lines": [{"product_id": bowl["id"], "quantity": 1}]}
    order = made.ask(None, "", "POST", "/orders", token=people.ben, body=body).json()
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE orders_order SET expires_at = clock_timestamp() WHERE id = %s", [order["id"]])
        connection.execute("UPDATE stock_hold SET until = clock_timestamp() WHERE order_id = %s", [order["id"]])
    made.ask("confirm_order", "Too late", "POST", f"/orders/{order['id']}/confirm", token=people.ben, body=PAID)
    with psycopg.connect(database) as connection:
        me = made.ask(None, "", "GET", "/me", token=people.ben).json()["id"]
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 20))", [f"{me} order-1"])
        headers = {"Idempotency-Key": "order-1"}
        made.ask("place_order", "It is on its way", "POST", "/orders", token=people.ben, body=body, headers=headers)


def _by_mail(made: Exchanges, mails: Path, mark: str) -> None:
    """Eve shows that she reads her mail, sets her password anew by it, changes it, and leaves."""
    eve, address = made.user(f"eve-{mark}", "eve"), f"eve-{mark}@souk.example"
    made.ask(None, "", "PATCH", "/me", token=eve, body={"email": address})
    proof = {"token": _token_in_a_mail(mails, address, 1)}
    made.ask("verify_email", "A token that nobody sent", "POST", "/email-verifications/confirm", body={"token": "x"})
    made.ask("verify_email", "Eve reads her mail", "POST", "/email-verifications/confirm", body=proof)
    made.ask(None, "", "POST", "/password-resets", body={"email": address})
    reset = {"token": _token_in_a_mail(mails, address, 2), "new_password": PASSWORD}
    made.ask("reset_password", "Eve has forgotten hers", "POST", "/password-resets/confirm", body=reset)
    made.ask("reset_password", "The same token again", "POST", "/password-resets/confirm", body=reset)
    change = {"current_password": PASSWORD, "new_password": f"{PASSWORD}!"}
    made.ask(
        "change_password", "Eve takes another", "POST", "/me/password", token=made.token(f"eve-{mark}"), body=change
    )
    form = {"grant_type": "password", "client_id": "souk-web", "username": f"eve-{mark}", "password": f"{PASSWORD}!"}
    eve = made.ask(None, "", "POST", "//oauth/token", form=form).json()["access_token"]
    made.ask("delete_me", "Eve leaves", "POST", "/me/delete", token=eve, body={"password": f"{PASSWORD}!"})


def _token_in_a_mail(mails: Path, address: str, number: int) -> str:
    """The token in the mail of this number to an address, as soon as it is there."""

    def sent() -> list[str]:
        written = sorted(mails.glob("*"), key=lambda file: file.stat().st_mtime) if mails.is_dir() else []
        texts = [text for file in written if address in (text := file.read_text(encoding="utf-8"))]
        return [found[0] for text in texts if (found := re.search(r"^[\w-]{43}$", text, re.MULTILINE))]

    wait_for(lambda: len(sent()) >= number, what=f"mail {number} to {address} is written")
    return sent()[number - 1]


def _webhooks(made: Exchanges, people: People) -> None:
    ben, hook = people.ben, {"url": "https://shop.example/hook", "types": ["order.accepted"], "description": "Shop"}
    webhook = made.ask("create_webhook", "Ben wants to hear", "POST", "/webhooks", token=ben, body=hook).json()
    made.ask("create_webhook", "No address", "POST", "/webhooks", token=ben, body={**hook, "url": "shop"})
    at = f"/webhooks/{webhook['id']}"
    made.ask("list_webhooks", "Ben's webhooks", "GET", "/webhooks", token=ben)
    made.ask("get_webhook", "One", "GET", at, token=ben)
    made.ask("rotate_webhook_secret", "A new secret", "POST", f"{at}/rotate", token=ben)
    made.ask("test_webhook", "A sample", "POST", f"{at}/test", token=ben)
    deliveries = f"{at}/deliveries"

    def tried() -> bool:
        results = made.ask(None, "", "GET", deliveries, token=ben).json()["results"]
        return [one["duration_ms"] is None for one in results] == [False]

    wait_for(tried, what="the sample is sent")
    made.ask("list_deliveries", "What was sent", "GET", deliveries, token=ben)
    again = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
    made.ask("replay_webhook", "A day again", "POST", f"{at}/replay", token=ben, body=again)
    made.ask("change_webhook", "Off", "PATCH", at, token=ben, body={"state": "DISABLED"})
    made.ask("test_webhook", "It is off", "POST", f"{at}/test", token=ben)
    made.ask("delete_webhook", "No more", "DELETE", at, token=ben)


def _the_rest(made: Exchanges, people: People, bowl: dict[str, Any]) -> None:
    tag = made.ask(None, "", "GET", f"/products/{bowl['id']}").json()["tags"][0]
    at = f"/products/{bowl['id']}/tags/{tag}"
    made.ask("untag_product", "Without a tag", "DELETE", at, token=people.ada)
    made.ask("tag_product", "With a tag", "PUT", at, token=people.ada)
    made.ask("list_events", "Orders placed", "GET", "/events?types=order.placed&limit=1", token=people.ben)
    made.ask("list_events", "Not a type", "GET", "/events?types=nothing", token=people.ben)
    made.ask("create_live_ticket", "A ticket", "POST", "/live/tickets", token=people.ben)
    made.ask("get_machine", "The bag", "GET", "/machines/bag")
    made.ask("list_machines", "All of them", "GET", "/machines")
    made.ask("list_machines", "Not with POST", "POST", "/machines")
    made.ask("get_liveness", "It answers", "GET", "//health/live")
    made.ask("get_oauth_metadata", "What there is", "GET", "//.well-known/oauth-authorization-server")
    made.ask("delete_product", "Ada deletes it", "DELETE", f"/products/{bowl['id']}", token=people.ada)
    form = {"client_id": "souk-web", "token": people.ada}
    made.ask("revoke_token", "Ada signs out", "POST", "//oauth/revoke", form=form)


def _when_parts_fail(made: Exchanges, stack: SoukStack, folder: Path, mark: str) -> None:
    """What no healthy server says: of limits that are reached, of parts that are away, of a mistake of ours."""
    at, database = made.base_url, stack.environment["SOUK_DATABASE_URL"]
    dan = made.user(f"dan-{mark}", "dan")
    first = made.ask(None, "", "GET", "/events?types=payment.refunded", token=dan).json()["next"]
    with psycopg.connect(database) as connection:  # as retention does once events are 30 days old
        oldest = "SELECT position FROM eventlog_event WHERE position IS NOT NULL ORDER BY position OFFSET 1 LIMIT 1"
        ((position,),) = connection.execute(oldest).fetchall()
        connection.execute("DELETE FROM eventlog_audience WHERE position <= %s", [position])
        connection.execute("DELETE FROM eventlog_event WHERE position <= %s", [position])
    made.ask("list_events", "Away for too long", "GET", f"/events?after={first}", token=dan)
    few = {**stack.environment, "SOUK_RATE_LIMITS": "on", "SOUK_RATE_QUOTAS": "writes=2/60"}
    with running_api(few, folder / "limits.log") as made.base_url:
        for _ in range(2):
            made.ask(None, "", "PATCH", "/me", token=dan, body={"bio": "Spoons."})
        made.ask("change_me", "Too often", "PATCH", "/me", token=dan, body={"bio": "Spoons."})
    without_valkey = {**stack.environment, "SOUK_CACHE_URL": "redis://127.0.0.1:1/0"}
    with running_api(without_valkey, folder / "valkey.log") as made.base_url:
        made.ask("create_live_ticket", "Valkey is away", "POST", "/live/tickets", token=dan)
    # A database that nobody has migrated stands for all mistakes: nothing that Souk has looked for is there.
    unmigrated = {**stack.environment, "SOUK_DATABASE_URL": re.sub(r"/souk(\?|$)", r"/template1\1", database)}
    with running_api(unmigrated, folder / "mistake.log") as made.base_url:
        made.ask("find_user", "A mistake of ours", "GET", "/users?username=dan")
    made.base_url = at


def test_every_example_is_what_a_running_server_answers(exchanges: Exchanges) -> None:
    made = exchanges.files()
    if os.environ.get("SOUK_WRITE_EXAMPLES"):
        FOLDER.mkdir(exist_ok=True)
        for name in stale(made, FOLDER):
            (FOLDER / name).unlink(missing_ok=True)
        for name, text in made.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
    assert stale(made, FOLDER) == []
