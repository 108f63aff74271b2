"""Every button of the pages for staff, one by one: what it leaves in the audit trail, and who may press it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from psycopg.conninfo import make_conninfo

from bench.plans import plans_of
from bench.staff_seed import seed
from souk.accounts.models import User
from souk.accounts.operations import appoint_staff, create_user
from souk.eventlog.models import Event
from souk.kit.admin import StaffPage
from souk.orders.models import Order
from souk.reactions.consumers import CONSUMERS
from souk.reactions.models import DeadLetter
from tests.api.test_staff_pages import Member, acts_of
from tests.callers import PASSWORD, SignedIn
from tests.conftest import empty_tables

REASON = {"reason": "Because it must be so"}


def buttons() -> list[tuple[str, str]]:
    """Every button that there is: the page and its name."""
    return [
        (f"{model._meta.app_label}/{model._meta.model_name}", name)
        for model, page in admin.site._registry.items()
        if isinstance(page, StaffPage)
        for name in (*page.actions_list, *page.actions_detail)
    ]


class Shop:
    """A row for each page that has buttons, and what their forms ask for."""

    def __init__(self, seller: SignedIn, buyer: SignedIn, boss: Member) -> None:
        boss.send("/admin/catalog/tag/new_tag/", _form_submitted="on", name="walnut")
        bowl = seller.offer(tags=["walnut"])
        event = Event.objects.filter(type="user.registered").earliest("n")
        letter = DeadLetter.objects.create(
            consumer=CONSUMERS[0].name, event_id=event.pk, event={"type": event.type}, error="It could not be borne."
        )
        self.rows: dict[str, object] = {
            "accounts/user": buyer.id,
            "catalog/tag": seller.get("/tags/walnut").body["id"],
            "catalog/product": bowl["id"],
            "orders/order": buyer.order((bowl, 1)).body["id"],
            "webhooks/webhook": seller.post("/webhooks", {"url": "https://example.org/hook"}).body["id"],
            "reactions/deadletter": letter.pk,
        }
        self.fields: dict[tuple[str, str], dict[str, str]] = {
            ("catalog/tag", "new_tag"): {"name": "oak"},
            ("catalog/tag", "edit"): {"name": "juglans"},
            ("orders/order", "cancel"): REASON,
            ("webhooks/webhook", "switch_off"): REASON,
            ("accounts/user", "appoint"): {"everything": "on"},
        }

    def press(self, member: Member, kind: str, name: str) -> Any:
        fields = self.fields.get((kind, name), {})
        if name == "new_tag":
            return member.send(f"/admin/{kind}/{name}/", _form_submitted="on", **fields)
        return member.press(kind, self.rows[kind], name, **fields)


# In the order in which they can be pressed.
EXPECTED = {
    ("accounts/user", "lock"): "user.locked",
    ("accounts/user", "unlock"): "user.unlocked",
    ("accounts/user", "end_every_token"): "user.tokens_ended",
    ("accounts/user", "appoint"): "user.appointed",
    ("accounts/user", "dismiss"): "user.appointed",
    ("catalog/tag", "new_tag"): "staff.acted",
    ("catalog/tag", "edit"): "staff.acted",
    ("catalog/tag", "remove"): "staff.acted",
    ("catalog/product", "archive"): "product.changed",
    ("orders/order", "cancel"): "order.cancelled",
    ("webhooks/webhook", "switch_off"): "webhook.disabled",
    ("reactions/deadletter", "requeue"): "staff.acted",
}


def test_every_button_leaves_one_event_with_the_member_as_its_actor(
    boss: Member, seller: SignedIn, buyer: SignedIn
) -> None:
    assert sorted(buttons()) == sorted(EXPECTED), "a button without its line here"
    shop = Shop(seller, buyer, boss)
    for (kind, name), expected in EXPECTED.items():
        before = len(acts_of("boss"))
        done = shop.press(boss, kind, name)
        assert done.headers.get("HX-Redirect"), (kind, name, done.content.decode()[-1500:])
        assert [type_ for type_, _ in acts_of("boss")[before:]] == [expected], (kind, name)


def test_groups_are_told_too_whatever_is_done_with_them(boss: Member) -> None:
    allowed = str(Permission.objects.get(codename="view_order").pk)
    boss.send("/admin/auth/group/add/", name="readers", permissions=allowed)
    group = Group.objects.get(name="readers")
    boss.send(f"/admin/auth/group/{group.pk}/change/", name="lookers", permissions=allowed)
    boss.send(f"/admin/auth/group/{group.pk}/delete/", post="yes")
    assert not Group.objects.exists()
    assert [(data["act"], data["name"], data["allowed"]) for _, data in acts_of("boss")] == [
        ("group.create", "readers", ["view_order"]),
        ("group.change", "lookers", ["view_order"]),
        ("group.delete", "lookers", ["view_order"]),
    ]


def test_who_may_only_look_sees_every_page_and_no_button_and_can_press_none(
    boss: Member, seller: SignedIn, buyer: SignedIn
) -> None:
    shop = Shop(seller, buyer, boss)
    group = Group.objects.create(name="lookers")
    group.permissions.set(Permission.objects.filter(codename__startswith="view_"))
    create_user(username="looker", password=PASSWORD, is_staff=True)
    appoint_staff(username="looker", groups=["lookers"])
    looker = Member("looker")
    assert looker.sign_in() == 302
    before = Event.objects.count()
    for kind, name in buttons():
        place = f"{kind}/" if name == "new_tag" else f"{kind}/{shop.rows[kind]}/change/"
        page = looker.get(place)
        assert page.status_code == 200, place
        assert f"/{name}/" not in page.content.decode(), (kind, name)
        assert shop.press(looker, kind, name).status_code == 403, (kind, name)
    assert looker.get("auth/group/").status_code == 403
    assert Event.objects.count() == before


def test_nobody_gets_every_right_by_forgetting_to_choose(boss: Member, buyer: SignedIn) -> None:
    page = boss.client.get(f"/admin/accounts/user/{buyer.id}/appoint/").content.decode()
    assert "May do everything, appoint others too" in page
    group = Group.objects.create(name="lookers")
    wrong: list[dict[str, str]] = [{}, {"groups": str(group.pk), "everything": "on"}]
    for fields in wrong:
        refused = boss.press("accounts/user", buyer.id, "appoint", **fields)
        assert "one of the two" in refused.content.decode()
    assert not User.objects.get(username="buyer").is_staff
    boss.press("accounts/user", buyer.id, "appoint", groups=str(group.pk))
    assert not User.objects.get(username="buyer").is_superuser
    boss.press("accounts/user", buyer.id, "appoint", everything="on")
    assert User.objects.get(username="buyer").is_superuser


REFUSED: list[tuple[str, str, dict[str, str], Callable[[SignedIn, str], object], str]] = [
    ("orders/order", "cancel", REASON, lambda buyer, row: buyer.post(f"/orders/{row}/cancel"),
     "cancel is not possible in the state CANCELLED."),
    ("catalog/tag", "edit", {"name": "Wal nut"}, lambda buyer, row: None, "^[a-z0-9]"),
    ("catalog/tag", "new_tag", {"name": "walnut"}, lambda buyer, row: None, "There is such a tag already."),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "fields", "first", "words"), REFUSED)
def test_a_form_that_would_break_a_rule_is_refused_in_the_operation_s_words(
    boss: Member, seller: SignedIn, buyer: SignedIn, kind: str, name: str, fields: dict[str, str],
    first: Callable[[SignedIn, str], object], words: str,
) -> None:  # fmt: skip
    shop = Shop(seller, buyer, boss)
    first(buyer, str(shop.rows[kind]))
    before = Event.objects.count()
    shop.fields[kind, name] = fields
    answer = shop.press(boss, kind, name)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert Event.objects.count() == before


ORDERS = 30_000
# A page and its neighbours; the newest that a state is looked for in; what the last page skips.
FEW, LOOKED_THROUGH, DEEP = 1_000, 41_000, 22_000


@pytest.fixture
def many_orders(boss: Member) -> Iterator[Order]:
    """So many orders that counting them would show; the newest of them."""
    at = connection.settings_dict
    address = make_conninfo(
        host=at["HOST"], port=at["PORT"], user=at["USER"], password=at["PASSWORD"], dbname=at["NAME"]
    )
    try:
        seed(address, orders=ORDERS)
        newest = Order.all_objects.order_by("-id").first()
        assert newest is not None
        yield newest
    finally:
        empty_tables()  # such orders have no holds and no movements behind them: the books would not agree


def test_with_many_orders_a_page_reads_what_it_shows_and_counts_nothing(boss: Member, many_orders: Order) -> None:
    newest = many_orders
    pages = {
        "orders/order/": FEW,
        "orders/order/?q=buyer-0001": FEW,
        f"orders/order/?q={newest.pk}": FEW,
        f"orders/order/{newest.pk}/change/": FEW,
        "orders/order/?state=ACCEPTED": LOOKED_THROUGH,
        "orders/order/?state=PENDING_CONFIRMATION": LOOKED_THROUGH,
        "orders/order/?p=199": DEEP,
        "payments/payment/": FEW,
        f"payments/payment/?q={newest.pk}": FEW,
        "catalog/product/": FEW,
        "accounts/user/?q=buyer-0001": FEW,
        "eventlog/event/": FEW,
        f"eventlog/event/?q={newest.pk}": FEW,
    }
    for page, most in pages.items():
        with CaptureQueriesContext(connection) as asked:
            assert boss.get(page).status_code == 200, page
        assert not [one["sql"] for one in asked.captured_queries if "COUNT(" in one["sql"]], page
        plans = plans_of(asked.captured_queries)
        read = {plan.statement[:200]: plan.rows_read for plan in plans}
        assert sum(read.values()) <= most, (page, read)
        assert "Seq Scan of orders_order" not in {node for plan in plans for node in plan.nodes}, page
