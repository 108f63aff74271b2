"""The pages for staff: who gets in, what each button does and leaves behind, and what a list costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver

from souk.accounts.models import User
from souk.accounts.operations import appoint_staff, lock_user, purge_old_sessions
from souk.eventlog.models import Event
from souk.reactions.consumers import CONSUMERS
from souk.reactions.models import DeadLetter
from tests.books import rows_of, stock_of
from tests.callers import PASSWORD, SignedIn

LISTS = (
    "accounts/user",
    "auth/group",
    "catalog/tag",
    "catalog/product",
    "orders/order",
    "payments/payment",
    "webhooks/webhook",
    "reactions/deadletter",
    "eventlog/event",
)


class Member:
    """A member of the staff at the pages, with a browser's manners."""

    def __init__(self, username: str) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.username = username

    def sign_in(self, password: str = PASSWORD) -> int:
        """Fill in the form; 302 when it lets in, 200 when it is shown again."""
        answer = self.send("/admin/login/?next=/admin/", username=self.username, password=password)
        return int(answer.status_code)

    def get(self, address: str) -> Any:
        """A page."""
        return self.client.get(f"/admin/{address}")

    def send(self, address: str, **fields: Any) -> Any:
        """A form, with the token that its page brings."""
        return self.client.post(address, {"csrfmiddlewaretoken": self.token(address) or self.token(), **fields})

    def token(self, address: str = "/admin/password_change/") -> str:
        """The token of a page's form against forgery; one of any page will do for all of them."""
        shown = self.client.get(address).content.decode()
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', shown)
        return found.group(1) if found else ""

    def press(self, kind: str, row: object, button: str, **fields: str) -> Any:
        """Fill in what a button asks for."""
        return self.send(f"/admin/{kind}/{row}/{button}/", _form_submitted="on", **fields)


def signed_in(username: str) -> Member:
    """A member of the staff, in the pages."""
    member = Member(username)
    assert member.sign_in() == 302
    return member


def acts_of(username: str) -> list[tuple[str, Any]]:
    """What the audit trail says of a member of the staff: types and data."""
    member = User.objects.get(username=username)
    return list(Event.objects.filter(actor=f"staff:{member.pk}").order_by("n").values_list("type", "data"))


def test_only_staff_in_good_standing_gets_in(boss: Member, buyer: SignedIn) -> None:
    assert Member("buyer").sign_in() == 200
    assert Member("boss").sign_in("wrong horse battery") == 200
    assert Member("boss").get("orders/order/").status_code == 302
    assert boss.get("orders/order/").status_code == 200
    lock_user(username="boss")
    assert boss.get("orders/order/").status_code == 302
    assert Member("boss").sign_in() == 200


def addresses(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Every address of the pages, with an id of nothing."""
    for one in patterns:
        at = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from addresses(one.url_patterns, at)
        elif "(?P" not in at:
            yield re.sub(r"<[^>]+>", str(uuid4()), at)


def test_every_page_asks_a_stranger_to_sign_in_and_shows_nothing(buyer: SignedIn) -> None:
    pages = sorted(set(addresses(admin.site.urls[0])))
    assert len(pages) > 50
    open_to_all = {"login/", "jsi18n/", "logout/"}
    for caller in (Client(), Client(headers={"Authorization": f"Bearer {buyer.token}"})):
        for page in set(pages) - open_to_all:
            for method in ("get", "post"):
                answer = getattr(caller, method)(f"/admin/{page}", follow=True)
                assert answer.redirect_chain[-1][0].startswith("/admin/login/"), (method, page)


def test_a_new_password_ends_every_session(boss: Member) -> None:
    caller = SignedIn.sign_in("boss", "")
    changed = caller.post("/me/password", {"current_password": PASSWORD, "new_password": "another horse battery"})
    assert changed.status == 204
    assert boss.get("").status_code == 302


def test_a_form_from_elsewhere_is_refused(boss: Member, buyer: SignedIn) -> None:
    answer = boss.client.post(f"/admin/accounts/user/{buyer.id}/lock/", {"_form_submitted": "on"})
    assert answer.status_code == 403
    assert buyer.get("/me").status == 200


def test_without_a_permission_there_is_neither_page_nor_action(boss: Member, seller: SignedIn, buyer: SignedIn) -> None:
    order = buyer.order((seller.offer(), 1)).body
    group = Group.objects.create(name="readers")
    group.permissions.add(Permission.objects.get(codename="view_order"))
    appoint_staff(username="boss", groups=["readers"])
    assert [boss.get(f"{kind}/").status_code for kind in LISTS if kind != "orders/order"] == [403] * (len(LISTS) - 1)
    page = boss.get(f"orders/order/{order['id']}/change/")
    assert page.status_code == 200
    assert "Cancel the order" not in page.content.decode()
    refused = boss.press("orders/order", order["id"], "cancel", reason="because")
    assert refused.status_code == 403
    assert buyer.get(f"/orders/{order['id']}").body["state"] == "PENDING_CONFIRMATION"
    assert "Users" not in boss.get("").content.decode()


def test_an_order_is_cancelled_with_a_reason_by_the_operation(boss: Member, seller: SignedIn, buyer: SignedIn) -> None:
    bowl = seller.offer(stock=5)
    order = buyer.order((bowl, 2)).body
    done = boss.press("orders/order", order["id"], "cancel", reason="Asked for by phone")
    assert done.headers["HX-Redirect"] == f"/admin/orders/order/{order['id']}/change/"
    assert buyer.get(f"/orders/{order['id']}").body["state"] == "CANCELLED"
    assert stock_of(bowl) == (5, 0)
    assert acts_of("boss") == [("order.cancelled", {"state": "CANCELLED", "note": "Asked for by phone"})]
    history = buyer.get(f"/orders/{order['id']}/history").body["results"]
    assert [entry["actor"]["type"] for entry in history] == ["user", "staff"]


def test_a_refusal_is_shown_in_the_operation_s_own_words(boss: Member, seller: SignedIn, buyer: SignedIn) -> None:
    order = buyer.order((seller.offer(), 1)).body
    assert buyer.post(f"/orders/{order['id']}/cancel").status == 200
    again = boss.press("orders/order", order["id"], "cancel", reason="Asked for by phone")
    assert again.status_code == 200
    assert "cancel is not possible in the state CANCELLED." in again.content.decode()
    assert acts_of("boss") == []
    short = boss.press("orders/order", order["id"], "cancel", reason="no")
    assert "at least 3 characters" in short.content.decode()


def test_users_are_locked_let_in_and_signed_out(boss: Member, buyer: SignedIn) -> None:
    boss.press("accounts/user", buyer.id, "end_every_token")
    assert buyer.get("/me").status == 401
    buyer = SignedIn.sign_in("buyer", buyer.id)
    boss.press("accounts/user", buyer.id, "lock")
    assert buyer.get("/me").status == 401
    boss.press("accounts/user", buyer.id, "unlock")
    assert SignedIn.sign_in("buyer", buyer.id).get("/me").status == 200
    told = {"username": "buyer"}
    assert acts_of("boss") == [("user.tokens_ended", told), ("user.locked", told), ("user.unlocked", told)]
    assert SignedIn.sign_in("buyer", buyer.id).get("/events").body["results"][-1]["type"] == "user.registered"


def test_tags_are_made_changed_and_deleted(boss: Member, seller: SignedIn) -> None:
    boss.send("/admin/catalog/tag/new_tag/", _form_submitted="on", name="walnut", description="Wood.")
    seller.offer(tags=["walnut"])
    taken = boss.send("/admin/catalog/tag/new_tag/", _form_submitted="on", name="walnut")
    assert "There is such a tag already." in taken.content.decode()
    tag_id = seller.get("/tags/walnut").body["id"]
    boss.press("catalog/tag", tag_id, "edit", name="juglans", description="Wood.")
    assert seller.get("/products", tag="juglans").body["results"][0]["tags"] == ["juglans"]
    assert "products_count" in boss.get(f"catalog/tag/{tag_id}/change/").content.decode().lower().replace(" ", "_")
    boss.press("catalog/tag", tag_id, "remove")
    assert seller.get("/tags/juglans").status == 404
    assert [(kind, data["act"], data["name"]) for kind, data in acts_of("boss")] == [
        ("staff.acted", "tag.create", "walnut"),
        ("staff.acted", "tag.change", "juglans"),
        ("staff.acted", "tag.delete", "juglans"),
    ]


def test_a_product_is_archived_and_a_webhook_switched_off(boss: Member, seller: SignedIn) -> None:
    bowl = seller.offer()
    hook = seller.post("/webhooks", {"url": "https://example.org/hook"}).body
    boss.press("catalog/product", bowl["id"], "archive")
    assert seller.get(f"/products/{bowl['id']}").body["state"] == "ARCHIVED"
    boss.press("webhooks/webhook", hook["id"], "switch_off", reason="It floods the receiver")
    shown = seller.get(f"/webhooks/{hook['id']}").body
    assert (shown["state"], shown["disabled_reason"]) == ("DISABLED", "staff")
    assert [kind for kind, _ in acts_of("boss")] == ["product.changed", "webhook.disabled"]
    assert "whsec_" not in boss.get(f"webhooks/webhook/{hook['id']}/change/").content.decode()


def test_a_dead_letter_is_requeued(boss: Member) -> None:
    event = Event.objects.get(type="user.registered")
    consumer = CONSUMERS[0]
    letter = DeadLetter.objects.create(
        consumer=consumer.name, event_id=event.pk, event={"type": event.type}, error="It could not be borne."
    )
    assert "It could not be borne." in boss.get(f"reactions/deadletter/{letter.pk}/change/").content.decode()
    done = boss.press("reactions/deadletter", letter.pk, "requeue")
    assert done.headers["HX-Redirect"] == "/admin/reactions/deadletter/"
    assert not DeadLetter.objects.exists()
    assert rows_of("SELECT consumer, event_id FROM reactions_retry") == [(consumer.number, event.pk)]
    assert acts_of("boss") == [
        (
            "staff.acted",
            {
                "act": "dead-letter.requeue",
                "target": {"type": "event", "id": str(event.pk)},
                "consumer": consumer.name,
            },
        )
    ]


def test_ended_sessions_are_purged(boss: Member) -> None:
    assert purge_old_sessions() == 0
    Session.objects.update(expire_date="2020-01-01T00:00:00Z")
    assert purge_old_sessions() == 1
    assert boss.get("orders/order/").status_code == 302


def test_staff_is_appointed_by_who_may(boss: Member, buyer: SignedIn) -> None:
    group = Group.objects.create(name="readers")
    boss.press("accounts/user", buyer.id, "appoint", groups=str(group.pk))
    assert rows_of("SELECT is_staff, is_superuser FROM accounts_user WHERE username = 'buyer'") == [(True, False)]
    boss.press("accounts/user", buyer.id, "dismiss")
    assert rows_of("SELECT is_staff, is_superuser FROM accounts_user WHERE username = 'buyer'") == [(False, False)]
    assert [data["groups"] for _, data in acts_of("boss")] == [["readers"], []]


@pytest.mark.parametrize(
    "query", ["", "?q=buyer", "?q=01a214e3-1847-746a-8703-8edaa06bd74e", "?p=3", "?state=ACCEPTED"]
)
def test_a_list_counts_nothing_and_reads_by_an_index(
    boss: Member, seller: SignedIn, buyer: SignedIn, query: str
) -> None:
    buyer.order((seller.offer(), 1))
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")  # then a plan has one only where no index would do
    try:
        for kind in set(LISTS) - {"auth/group"}:
            with CaptureQueriesContext(
                connection,
            ) as asked:
                assert boss.get(f"{kind}/{query}").status_code == (
                    400 if kind != "orders/order" and "state" in query else 200
                )
            tables = [one["sql"] for one in asked.captured_queries if f'FROM "{kind.replace("/", "_")}"' in one["sql"]]
            assert not [sql for sql in tables if "COUNT(" in sql]
            plans = [rows_of("EXPLAIN " + sql.replace("%", "%%")) for sql in tables]
            assert [plan for plan in plans if "Seq Scan" in str(plan)] == [], (kind, tables)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET enable_seqscan")


def test_no_row_is_ever_deleted_or_added_by_a_form(boss: Member, buyer: SignedIn) -> None:
    assert boss.get("accounts/user/add/").status_code == 403
    assert boss.get(f"accounts/user/{buyer.id}/delete/").status_code == 403
    saved = boss.send(f"/admin/accounts/user/{buyer.id}/change/", username="somebody")
    assert saved.status_code == 403
    assert buyer.get("/me").body["username"] == "buyer"
    assert boss.get("oauth2_provider/accesstoken/").status_code == 404
