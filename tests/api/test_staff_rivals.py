"""Members of the staff who act at once, on the same rows as others, and while the database does not answer."""

from __future__ import annotations

from uuid import uuid4

import psycopg
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client

from souk.accounts.models import User
from souk.eventlog.models import Event
from souk.reactions.models import DeadLetter
from tests.api.test_staff_acts import REASON, Shop
from tests.api.test_staff_hostile import member_who_may
from tests.api.test_staff_pages import Member, acts_of
from tests.books import rows_of, stock_of
from tests.callers import SignedIn
from tests.rivals import at_once, in_background, rival, wait_for_waiting


def test_two_members_cancel_an_order_and_one_of_them_is_told_so(
    boss: Member, seller: SignedIn, buyer: SignedIn
) -> None:
    bowl = seller.offer(stock=5)
    order, other = buyer.order((bowl, 2)).body["id"], member_who_may("change_order")
    told = at_once([lambda by=by: by.press("orders/order", order, "cancel", **REASON) for by in (boss, other)])  # type: ignore[misc]  # the defaults say the type
    assert sorted("HX-Redirect" in one.headers for one in told) == [False, True]
    (refused,) = [one.content.decode() for one in told if "HX-Redirect" not in one.headers]
    assert "cancel is not possible in the state CANCELLED." in refused
    assert stock_of(bowl) == (5, 0)
    assert Event.objects.filter(type="order.cancelled").count() == 1


def test_a_member_and_the_buyer_end_and_confirm_an_order_at_once(
    boss: Member, seller: SignedIn, buyer: SignedIn
) -> None:
    bowl = seller.offer(stock=50)
    for _ in range(5):
        order = buyer.order((bowl, 1)).body["id"]
        paid = {"payment": {"method": "card", "token": "tok_ok"}}
        cancelled, confirmed = at_once(
            [
                lambda: "HX-Redirect" in boss.press("orders/order", order, "cancel", **REASON).headers,  # noqa: B023  # called before the next round
                lambda: buyer.post(f"/orders/{order}/confirm", paid).status == 200,  # noqa: B023  # called before the next round
            ]
        )
        assert cancelled != confirmed
        assert buyer.get(f"/orders/{order}").body["state"] == ("CANCELLED" if cancelled else "CONFIRMED")


def test_a_letter_that_two_requeue_is_requeued_once(shop: Shop, boss: Member) -> None:
    other, letter = member_who_may("change_deadletter"), shop.rows["reactions/deadletter"]
    with rival() as cursor:
        cursor.execute("SELECT 1 FROM reactions_deadletter FOR UPDATE")
        with (
            in_background(lambda: boss.press("reactions/deadletter", letter, "requeue")) as first,
            in_background(lambda: other.press("reactions/deadletter", letter, "requeue")) as second,
        ):
            wait_for_waiting(2)
            cursor.connection.rollback()
            told = [first.result(), second.result()]
    assert sorted("HX-Redirect" in one.headers for one in told) == [False, True]
    assert "somebody else has requeued it" in "".join(one.content.decode() for one in told)
    assert Event.objects.filter(type="staff.acted", data__act="dead-letter.requeue").count() == 1
    assert not DeadLetter.objects.exists()


def test_a_tag_that_took_the_name_of_the_one_on_the_page_is_left_alone(shop: Shop, boss: Member) -> None:
    row = shop.rows["catalog/tag"]
    with rival() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('souk.tags', 0))")
        with in_background(lambda: boss.press("catalog/tag", row, "remove")) as deleting:
            wait_for_waiting()
            cursor.execute("UPDATE catalog_tag SET name = 'oak' WHERE id = %s", [row])
            cursor.execute(
                "INSERT INTO catalog_tag (id, name, description, created, updated)"
                " VALUES (%s, 'walnut', '', now(), now())",
                [uuid4()],
            )
            cursor.connection.commit()
            assert "HX-Redirect" in deleting.result().headers
    assert rows_of("SELECT name, deleted IS NULL FROM catalog_tag ORDER BY name") == [("oak", False), ("walnut", True)]


def test_members_who_press_everything_about_a_user_at_once_take_turns(boss: Member, buyer: SignedIn) -> None:
    others = [boss, *(member_who_may("change_user") for _ in range(5))]
    names = ["lock", "unlock", "end_every_token"] * 2
    told = at_once(
        [
            lambda by=by, name=name: by.press("accounts/user", buyer.id, name)  # type: ignore[misc]  # the defaults say the type
            for by, name in zip(others, names, strict=True)
        ]
    )
    assert ["HX-Redirect" in one.headers for one in told] == [True] * 6
    kinds = list(Event.objects.filter(actor__startswith="staff:").order_by("n").values_list("type", flat=True))
    assert kinds.count("user.tokens_ended") == 2
    # Locking who is locked is no act; what is one takes turns, and the last of them is how it is.
    turns = [kind for kind in kinds if kind != "user.tokens_ended"]
    assert turns == ["user.locked", "user.unlocked"] * (len(turns) // 2) + ["user.locked"] * (len(turns) % 2)
    assert User.objects.get(pk=buyer.id).is_active == (turns[-1] == "user.unlocked")


def test_a_row_that_is_held_too_long_is_told_in_the_form_and_not_by_a_500(shop: Shop, boss: Member) -> None:
    with rival() as cursor:
        cursor.execute("SELECT 1 FROM orders_order FOR UPDATE")
        answer = shop.press(boss, "orders/order", "cancel")
        assert (answer.status_code, "does not answer in time" in answer.content.decode()) == (200, True)
    assert acts_of("boss")[-1][0] == "staff.acted"
    assert "HX-Redirect" in shop.press(boss, "orders/order", "cancel").headers


def test_without_its_tables_every_page_is_told_to_come_again_and_none_is_a_500(shop: Shop, boss: Member) -> None:
    with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as other:
        other.execute("LOCK TABLE django_session, accounts_user, orders_order IN ACCESS EXCLUSIVE MODE")
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        stranger = Client(raise_request_exception=False)
        for caller, page in ((stranger, "login/"), (boss.client, ""), (boss.client, "orders/order/")):
            assert caller.get(f"/admin/{page}").status_code == 503, page
    connection.close()
    assert boss.get("orders/order/").status_code == 200


def test_two_members_make_one_group_at_once_and_one_of_them_is_told_so(boss: Member) -> None:
    other = member_who_may("appoint_staff")
    for number in range(5):
        made = at_once(
            [
                lambda by=by, name=f"g-{number}": by.send("/admin/auth/group/add/", name=name)  # type: ignore[misc]  # the defaults say the type
                for by in (boss, other)
            ]
        )
        assert sorted(one.status_code for one in made) in ([200, 302], [302, 302]), made
    assert Group.objects.filter(name__startswith="g-").count() == 5


def test_a_member_is_appointed_into_a_group_or_told_that_it_is_gone(boss: Member, buyer: SignedIn) -> None:
    other = member_who_may("appoint_staff")
    for number in range(5):
        group = Group.objects.create(name=f"g-{number}")
        told = at_once(
            [
                lambda pk=group.pk: boss.press("accounts/user", buyer.id, "appoint", groups=str(pk)),  # type: ignore[misc]  # the defaults say the type
                lambda pk=group.pk: other.send(f"/admin/auth/group/{pk}/delete/", post="yes"),  # type: ignore[misc]  # the defaults say the type
            ]
        )
        assert all(one.status_code < 400 for one in told), told
        assert not User.objects.get(pk=buyer.id).is_superuser
