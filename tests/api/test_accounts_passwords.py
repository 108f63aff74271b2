"""A password is changed, or set anew by whoever reads the account's mail; an address is verified."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.mail import EmailMessage

from souk.accounts.operations import send_due_mails
from tests.books import checksums, run, value_of
from tests.callers import PASSWORD, Api, SignedIn

NEW = "another horse battery"


def sign_in(username: str, password: str) -> int:
    return (
        Api()
        .form("/oauth/token", grant_type="password", username=username, password=password, client_id="souk-web")
        .status
    )


def token_in(mail: EmailMessage) -> str:
    found = re.search(r"^[\w-]{43}$", str(mail.body), re.MULTILINE)
    assert found
    return found[0]


@pytest.fixture
def with_mail(anonymous: Api, mailoutbox: list[EmailMessage]) -> SignedIn:
    """Somebody with an address that is not verified; no mail is on its way."""
    user = SignedIn.register("ada")
    user.patch("/me", {"email": "Ada@example.org"})
    run("DELETE FROM accounts_mailrequest")
    return user


def reset_token(mailoutbox: list[EmailMessage], email: str = "ada@EXAMPLE.org") -> str:
    assert Api().post("/password-resets", {"email": email}).status == 202
    assert send_due_mails() == 1
    return token_in(mailoutbox[-1])


def test_a_changed_password_ends_every_token(seller: SignedIn) -> None:
    second = SignedIn.sign_in("seller", seller.id)
    assert seller.post("/me/password", {"current_password": PASSWORD, "new_password": NEW}).status == 204
    assert (seller.get("/me").status, second.get("/me").status) == (401, 401)
    for caller in (seller, second):
        refused = Api().form(
            "/oauth/token", grant_type="refresh_token", refresh_token=caller.refresh_token, client_id="souk-web"
        )
        assert (refused.status, refused.body["error"]) == (400, "invalid_grant")
    assert (sign_in("seller", PASSWORD), sign_in("seller", NEW)) == (400, 200)


@pytest.mark.parametrize(
    ("current", "new", "pointer"),
    [
        ("wrong horse battery", NEW, "/current_password"),
        (PASSWORD, "short", "/new_password"),
        (PASSWORD, "password", "/new_password"),
        (PASSWORD, "x" * 129, "/new_password"),
        (PASSWORD, None, "/new_password"),
        (PASSWORD, 12345678, "/new_password"),
        (None, NEW, "/current_password"),
    ],
)
def test_a_password_change_that_is_refused_changes_nothing(
    seller: SignedIn, current: Any, new: Any, pointer: str
) -> None:
    before = checksums()
    refused = seller.post("/me/password", {"current_password": current, "new_password": new})
    assert (refused.status, refused.code, refused.pointers) == (400, "validation_failed", [pointer])
    assert checksums() == before
    assert seller.get("/me").status == 200


def test_a_forgotten_password_is_set_by_a_mailed_token_once(
    with_mail: SignedIn, mailoutbox: list[EmailMessage]
) -> None:
    token = reset_token(mailoutbox)
    assert (mailoutbox[0].to, "ada" in str(mailoutbox[0].body)) == (["Ada@example.org"], True)
    assert value_of("SELECT count(*) FROM accounts_mailedtoken WHERE checksum = %s", token) == 0

    weak = Api().post("/password-resets/confirm", {"token": token, "new_password": "password"})
    assert (weak.status, weak.pointers) == (400, ["/new_password"])
    assert Api().post("/password-resets/confirm", {"token": token, "new_password": NEW}).status == 204
    assert with_mail.get("/me").status == 401
    assert (sign_in("ada", PASSWORD), sign_in("ada", NEW)) == (400, 200)
    again = Api().post("/password-resets/confirm", {"token": token, "new_password": NEW})
    assert (again.status, again.code, again.pointers) == (400, "validation_failed", ["/token"])


@pytest.mark.parametrize("address", ["", "https://shop.example"])
def test_a_mail_leads_to_the_shop_whose_address_the_settings_know(
    with_mail: SignedIn, mailoutbox: list[EmailMessage], settings: Any, address: str
) -> None:
    settings.PUBLIC_URL = address
    with_mail.patch("/me", {"email": "ada@elsewhere.example"})
    assert send_due_mails() == 1
    reset = reset_token(mailoutbox, "ada@elsewhere.example")
    verify = token_in(mailoutbox[0])
    expected = [f"{address}/verify#{verify}", f"{address}/reset#{reset}"] if address else []
    assert [link for mail in mailoutbox for link in re.findall(r"^\S+#\S+$", str(mail.body), re.MULTILINE)] == expected


def test_the_answer_is_the_same_whether_the_address_is_known_or_not(
    with_mail: SignedIn, mailoutbox: list[EmailMessage]
) -> None:
    known = Api().post("/password-resets", {"email": "ada@example.org"})
    unknown = Api().post("/password-resets", {"email": "nobody@example.org"})
    nonsense = Api().post("/password-resets", {"email": "no address at all"})
    assert (known.status, known.body) == (unknown.status, unknown.body) == (nonsense.status, nonsense.body) == (202, {})
    assert value_of("SELECT count(*) FROM accounts_mailrequest") == 3
    assert send_due_mails() == 3
    assert [mail.to for mail in mailoutbox] == [["Ada@example.org"]]
    assert value_of("SELECT count(*) FROM accounts_mailrequest") == 0


@pytest.mark.parametrize("email", [None, "", 7, [], "x" * 255])
def test_a_reset_needs_an_address_of_the_right_kind(anonymous: Api, email: Any) -> None:
    assert anonymous.post("/password-resets", {"email": email}).pointers == ["/email"]


def test_a_reset_token_dies_with_its_hour_a_password_change_and_a_new_address(
    with_mail: SignedIn, mailoutbox: list[EmailMessage]
) -> None:
    def confirm(token: str) -> list[str]:
        return Api().post("/password-resets/confirm", {"token": token, "new_password": NEW}).pointers

    old = reset_token(mailoutbox)
    run("UPDATE accounts_mailedtoken SET expires = clock_timestamp()")
    assert confirm(old) == ["/token"]
    moved = reset_token(mailoutbox)
    with_mail.patch("/me", {"email": "ada@elsewhere.example"})
    assert confirm(moved) == ["/token"]
    run("DELETE FROM accounts_mailrequest")
    before_change = reset_token(mailoutbox, "ada@elsewhere.example")
    with_mail.post("/me/password", {"current_password": PASSWORD, "new_password": "third horse battery"})
    assert confirm(before_change) == ["/token"]
    assert sign_in("ada", "third horse battery") == 200


@pytest.mark.parametrize("token", ["", None, 7, "x" * 256, "nonsense", "é"])
def test_a_token_that_was_never_mailed_is_refused(anonymous: Api, token: Any) -> None:
    refused = anonymous.post("/password-resets/confirm", {"token": token, "new_password": NEW})
    assert (refused.status, refused.pointers) == (400, ["/token"])
    refused = anonymous.post("/email-verifications/confirm", {"token": token})
    assert (refused.status, refused.pointers) == (400, ["/token"])


def test_nobody_is_flooded_with_mails(with_mail: SignedIn, mailoutbox: list[EmailMessage]) -> None:
    for _ in range(8):
        Api().post("/password-resets", {"email": "ada@example.org"})
    assert send_due_mails() == 8
    assert len(mailoutbox) == 5


def test_an_address_is_verified_by_a_mailed_token(anonymous: Api, mailoutbox: list[EmailMessage]) -> None:
    made = anonymous.post("/users", {"username": "ada", "password": PASSWORD, "email": "ada@example.org"})
    ada = SignedIn.sign_in("ada", made.body["id"])
    assert send_due_mails() == 1
    first = token_in(mailoutbox[0])
    assert anonymous.post("/password-resets/confirm", {"token": first, "new_password": NEW}).pointers == ["/token"]

    ada.patch("/me", {"email": "ada@elsewhere.example"})
    assert anonymous.post("/email-verifications/confirm", {"token": first}).pointers == ["/token"]
    assert send_due_mails() == 1
    second = token_in(mailoutbox[1])
    assert mailoutbox[1].to == ["ada@elsewhere.example"]
    assert anonymous.post("/email-verifications/confirm", {"token": second}).status == 204
    assert ada.get("/me").body["email_verified"] is True
    assert anonymous.post("/email-verifications/confirm", {"token": second}).pointers == ["/token"]
    assert ada.patch("/me", {"bio": "still me"}).body["email_verified"] is True
    assert ada.patch("/me", {"email": "third@example.org"}).body["email_verified"] is False


def test_a_mail_that_cannot_be_sent_is_tried_again_later(
    with_mail: SignedIn, mailoutbox: list[EmailMessage], settings: Any, tmp_path: Any
) -> None:
    (tmp_path / "taken").write_text("a file where the folder of mails should be")
    back_end = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "taken" / "mails")
    Api().post("/password-resets", {"email": "ada@example.org"})
    assert send_due_mails() == 1
    assert value_of("SELECT attempts FROM accounts_mailrequest WHERE due > clock_timestamp()") == 1
    assert send_due_mails() == 0
    settings.EMAIL_BACKEND = back_end
    run("UPDATE accounts_mailrequest SET due = clock_timestamp()")
    assert send_due_mails() == 1
    assert [mail.to for mail in mailoutbox] == [["Ada@example.org"]]
