"""The pages for staff in hostile hands: one right alone, made-up addresses, forged forms, other rows, rivals."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from souk.accounts.admin import PERMISSIONS
from souk.accounts.models import User
from souk.accounts.operations import appoint_staff, create_user
from souk.eventlog.models import Event
from souk.reactions.models import DeadLetter
from tests.api.test_staff_acts import EXPECTED, Shop
from tests.api.test_staff_pages import LISTS, Member, acts_of, signed_in
from tests.books import rows_of
from tests.callers import PASSWORD, SignedIn

Button = tuple[str, str]
ROWS = [kind for kind in LISTS if kind != "auth/group"]
HOSTILE = "<script>alert(1)</script>{{ 7*7 }}\"' x-init=alert(2)"


def member_who_may(*permissions: str) -> Member:
    """A member of the staff in a group with these permissions and nothing else."""
    name = f"m-{uuid4().hex[:8]}"
    group = Group.objects.create(name=name)
    group.permissions.set(Permission.objects.filter(codename__in=permissions))
    create_user(username=name, password=PASSWORD, is_staff=True)
    appoint_staff(username=name, groups=[name])
    return signed_in(name)


def of(kind: str, *names: str) -> set[Button]:
    return {(kind, name) for name in names}


# What each permission opens by itself: the lists, and the buttons.
MAY: dict[str, tuple[set[str], set[Button]]] = {
    "view_user": ({"accounts/user"}, set()),
    "change_user": ({"accounts/user"}, of("accounts/user", "lock", "unlock", "end_every_token")),
    "appoint_staff": ({"auth/group"}, of("accounts/user", "appoint", "dismiss")),
    "view_tag": ({"catalog/tag"}, set()),
    "change_tag": ({"catalog/tag"}, of("catalog/tag", "new_tag", "edit", "remove")),
    "view_product": ({"catalog/product"}, set()),
    "change_product": ({"catalog/product"}, of("catalog/product", "archive")),
    "view_order": ({"orders/order"}, set()),
    "change_order": ({"orders/order"}, of("orders/order", "cancel")),
    "view_payment": ({"payments/payment"}, set()),
    "view_webhook": ({"webhooks/webhook"}, set()),
    "change_webhook": ({"webhooks/webhook"}, of("webhooks/webhook", "switch_off")),
    "view_deadletter": ({"reactions/deadletter"}, set()),
    "change_deadletter": ({"reactions/deadletter"}, of("reactions/deadletter", "requeue")),
    "view_event": ({"eventlog/event"}, set()),
}


def address_of(shop: Shop, button: Button) -> str:
    kind, name = button
    return f"/admin/{kind}/{name}/" if name == "new_tag" else f"/admin/{kind}/{shop.rows[kind]}/{name}/"


def test_every_permission_that_can_be_given_is_tried_alone() -> None:
    assert sorted(MAY) == sorted(PERMISSIONS)


@pytest.mark.parametrize("permission", MAY)
def test_one_permission_opens_its_own_list_and_its_own_buttons_alone(shop: Shop, permission: str) -> None:
    lists, buttons = MAY[permission]
    member = member_who_may(permission)
    assert {kind for kind in LISTS if member.get(f"{kind}/").status_code == 200} == lists
    front = member.get("").content.decode()
    assert set(re.findall(r'href="/admin/(\w+/\w+)/"', front)) == lists
    for button in EXPECTED:
        before = Event.objects.count()
        answer = shop.press(member, *button)
        if button in buttons:
            assert answer.headers.get("HX-Redirect"), (button, answer.content.decode()[-800:])
            continue
        # Its form came with a good token of another page: what refuses it is the permission.
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), button
        assert Event.objects.count() == before, button


def test_who_may_change_users_cannot_shut_out_who_is_above_them(boss: Member) -> None:
    helper, other = member_who_may("change_user"), member_who_may("view_order")
    for row in (User.objects.get(username=name).pk for name in ("boss", other.username)):
        for name in ("lock", "unlock", "end_every_token"):
            refused = helper.press("accounts/user", row, name)
            assert "Only who may appoint members of the staff may do this" in refused.content.decode(), name
    assert boss.get("orders/order/").status_code == 200
    assert acts_of(helper.username) == []
    assert boss.press("accounts/user", User.objects.get(username=helper.username).pk, "lock").headers["HX-Redirect"]
    assert helper.get("accounts/user/").status_code == 302


def test_a_forged_form_does_nothing_whoever_is_made_to_send_it(shop: Shop, boss: Member, stranger: SignedIn) -> None:
    other = member_who_may("change_order")
    stolen = other.token()
    bearer = Client(headers={"Authorization": f"Bearer {stranger.token}"})
    before = Event.objects.count()
    for button in EXPECTED:
        place, fields = address_of(shop, button), {"_form_submitted": "on", **shop.fields.get(button, {})}
        for token in ("", "x" * 64, stolen):
            assert boss.client.post(place, {"csrfmiddlewaretoken": token, **fields}).status_code == 403, place
        elsewhere = {"Origin": "https://evil.example", "Referer": "https://evil.example/"}
        forged = boss.client.post(place, {"csrfmiddlewaretoken": boss.token(), **fields}, headers=elsewhere)
        assert forged.status_code == 403, place
        assert boss.client.get(place, fields).status_code == 200, place
        assert boss.client.put(place, fields).status_code == 403, place
        assert bearer.post(place, fields).headers["Location"].startswith("/admin/login/"), place
    assert Event.objects.count() == before


def test_a_row_of_another_room_is_no_row_of_this_one(shop: Shop, boss: Member) -> None:
    strange = [*map(str, shop.rows.values()), str(uuid4()), "x", "0", "-1", "9" * 30, "1e9", "_00", "a_2Fb", "%00"]
    before = Event.objects.count()
    for kind, name in EXPECTED:
        if name == "new_tag":
            continue
        for row in set(strange) - {str(shop.rows[kind])}:
            fields = shop.fields.get((kind, name), {})
            answer = boss.press(kind, row, name, **fields)
            assert answer.status_code in (200, 404), (kind, name, row)
            assert "HX-Redirect" not in answer.headers, (kind, name, row)
            assert boss.get(f"{kind}/{row}/change/").status_code in (302, 404), (kind, row)
    assert Event.objects.count() == before


CONDITIONS = """
    total__gt=1 currency__icontains=u reason__regex=( state__regex=(a%2B)%2B$ buyer__password__startswith=a
    buyer__username__icontains=b seller__email__icontains=a owner__password__gt=a token__contains=tok
    secret__startswith=whsec data__note__icontains=x data__has_key=x created__year=x created__gt=2020-01-01
    id__isnull=maybe pk__in=1,2 id__exact=x error__icontains=a event__type=x description__icontains=a
    password__startswith=pbkdf2 _=1 __=1 %00=1 x=%00 deleted__isnull=1 groups__name=x
    _changelist_filters=q%3D%2500
""".split()


def test_an_address_adds_no_condition_of_its_own_to_a_list(boss: Member) -> None:
    for query in CONDITIONS:
        for kind in ROWS:
            with CaptureQueriesContext(connection) as asked:
                assert boss.get(f"{kind}/?{query}").status_code == 400, (kind, query)
            assert not [one["sql"] for one in asked if f'FROM "{kind.replace("/", "_")}" ORDER' in one["sql"]]


GARBAGE = (
    """
    q=%00 q='-- q=%25 q=%ff p=-1 p=0 p=x p=201 p=%00 o=1.-2 o=-5.4.3.2.1 o=x e=1 all= _to_field=id _popup=1 _facets=True
""".split()
    + [f"{name}={'9' * 5000}" for name in "qpo"]
)
OF_ORDERS = ["state=", "state=%00", "state=nothing", "state=CANCELLED&state=x", "state=CANCELLED&o=4", "state=accepted"]


def plans_of_list(member: Member, page: str) -> list[str]:
    """How the rows of a list are found, by any other way than reading or sorting the whole table where there is one."""
    with CaptureQueriesContext(connection) as asked:
        assert member.get(page).status_code in (200, 302), page
    table = page.partition("/?")[0].replace("/", "_")
    statements = [one["sql"] for one in asked if f'FROM "{table}"' in one["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off; SET enable_sort = off")
        plans = [str(rows_of("EXPLAIN " + sql.replace("%", "%%"))) for sql in statements]
        cursor.execute("RESET enable_seqscan; RESET enable_sort")
    return plans


def test_garbage_in_an_address_orders_and_reads_no_list_anew(shop: Shop, boss: Member) -> None:
    pages = [f"{kind}/?{query}" for kind in ROWS for query in GARBAGE]
    for page in [*pages, *(f"orders/order/?{query}" for query in OF_ORDERS)]:
        for plan in plans_of_list(boss, page):
            assert "Seq Scan" not in plan, (page, plan)
            assert "Sort Key" not in plan or "Presorted Key" in plan, (page, plan)


def test_the_search_among_the_pages_takes_any_page_number(boss: Member) -> None:
    for page in ("x", "0", "-1", "2", "9" * 30, "%00", ""):
        assert boss.get(f"search/?s=orders&page={page}").status_code == 400, page
    assert boss.get("search/?s=orders&extended=1").status_code == 200
    assert boss.get("search/?s=%00").status_code == 200


def test_what_somebody_typed_is_text_on_every_page(shop: Shop, boss: Member, seller: SignedIn, buyer: SignedIn) -> None:
    buyer.patch("/me", {"display_name": HOSTILE, "bio": HOSTILE})
    bowl = seller.offer(title=HOSTILE, description=HOSTILE)
    order = buyer.order((bowl, 1)).body["id"]
    hook = seller.post("/webhooks", {"url": "https://example.org/hook", "description": HOSTILE}).body["id"]
    DeadLetter.objects.update(error=HOSTILE, event={"type": HOSTILE})
    boss.press("catalog/tag", shop.rows["catalog/tag"], "edit", name="walnut", description=HOSTILE)
    boss.press("orders/order", order, "cancel", reason=HOSTILE)
    done = boss.press("catalog/product", bowl["id"], "archive")
    pages = [
        done.headers["HX-Redirect"].removeprefix("/admin/"),
        *(f"{kind}/" for kind in ROWS),
        f"accounts/user/{buyer.id}/change/",
        f"orders/order/{order}/change/",
        f"webhooks/webhook/{hook}/change/",
        *(f"{kind}/{row}/change/" for kind, row in shop.rows.items()),
        f"accounts/user/?q={HOSTILE}".replace(" ", "+"),
    ]
    shown = [boss.get(page).content.decode() for page in pages]
    assert not [page for page, text in zip(pages, shown, strict=True) if "<script>alert" in text]
    assert "is archived" in shown[0]
    assert len([text for text in shown if "&lt;script&gt;alert" in text]) > 8


def test_a_dialog_shows_what_there_is_so_that_nothing_is_lost_by_sending_it(shop: Shop, boss: Member) -> None:
    boss.press("catalog/tag", shop.rows["catalog/tag"], "edit", name="walnut", description="Dark wood.")
    page = boss.get(f"catalog/tag/{shop.rows['catalog/tag']}/edit/").content.decode()
    assert 'value="walnut"' in page
    assert "Dark wood." in page


def test_another_password_goes_by_the_operation_and_ends_every_token(boss: Member) -> None:
    token, other = SignedIn.sign_in("boss", ""), signed_in("boss")
    place, new = "/admin/password_change/", "another horse battery"
    for old, once, again, words in (
        ("wrong", new, new, "This is not the password."),
        (PASSWORD, new, "another", "match"),
        (PASSWORD, "short", "short", "A password has 8 to 128 characters."),
        (PASSWORD, "password", "password", "too common"),
    ):
        refused = boss.send(place, old_password=old, new_password1=once, new_password2=again)
        assert refused.status_code == 200
        assert words in refused.content.decode()
    assert token.get("/me").status == 200
    done = boss.send(place, old_password=PASSWORD, new_password1=new, new_password2=new)
    assert done.status_code == 302
    assert token.get("/me").status == 401
    assert [one.get("orders/order/").status_code for one in (boss, other)] == [302, 302]
    assert "Sign in with the new one." in boss.get("login/").content.decode()
    assert (boss.sign_in(), boss.sign_in(new)) == (200, 302)


def test_a_button_of_who_is_signed_out_by_now_loads_the_page_anew(shop: Shop, boss: Member) -> None:
    boss.client.cookies.clear()
    answer = boss.client.get(address_of(shop, ("orders/order", "cancel")), headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (200, "true")


def test_the_trail_names_who_did_it_even_when_they_are_gone(boss: Member, buyer: SignedIn) -> None:
    helper = member_who_may("change_user", "view_event")
    helper.press("accounts/user", buyer.id, "lock")
    member = User.objects.get(username=helper.username).pk
    boss.press("accounts/user", member, "dismiss")
    found: list[tuple[Any, ...]] = rows_of("SELECT actor, subject_id FROM eventlog_event WHERE type = 'user.locked'")
    assert found == [(f"staff:{member}", UUID(buyer.id))]
    assert helper.get("eventlog/event/").status_code == 302
    assert f"staff:{member}" in boss.get(f"eventlog/event/?q={buyer.id}").content.decode()


def test_no_row_of_any_kind_is_asked_for_by_its_number(boss: Member) -> None:
    for kind in ContentType.objects.all():
        for row in ("x", "0", str(uuid4()), "9" * 30):
            assert boss.get(f"r/{kind.pk}/{row}/").status_code == 404, kind


def test_a_group_takes_no_right_but_those_that_are_offered(boss: Member) -> None:
    offered = Permission.objects.get(codename="view_order")
    strange = [str(one.pk) for one in Permission.objects.exclude(codename__in=PERMISSIONS)[:3]]
    for name, rights in (("readers", strange), ("readers", ["x"]), ("readers", ["9" * 30]), ("", [str(offered.pk)])):
        refused = boss.send("/admin/auth/group/add/", name=name, permissions=rights)
        assert (refused.status_code, Group.objects.count()) == (200, 0), (name, rights)
    assert boss.send("/admin/auth/group/add/", name="readers", permissions=[str(offered.pk)]).status_code == 302
    taken = boss.send("/admin/auth/group/add/", name="readers", permissions=[str(offered.pk)])
    assert "already exists" in taken.content.decode()


def test_the_front_page_tells_todays_numbers_and_the_health_of_the_path(
    shop: Shop, boss: Member, seller: SignedIn, buyer: SignedIn
) -> None:
    order = buyer.order((seller.offer(), 1)).body["id"]
    assert buyer.post(f"/orders/{order}/cancel").status == 200
    text = re.sub(r"<[^>]+>|\s+", " ", boss.get("").content.decode())
    numbers = {"New accounts": 3, "New products": 2, "Orders placed": 2, "Orders accepted": 0, "Dead letters": 1}
    for name, number in (numbers | {"Waiting for confirmation": 1}).items():
        assert re.search(rf"{name}\s+{number}\s", text), (name, text)
    assert "Health:" in text
    assert "database" in text
