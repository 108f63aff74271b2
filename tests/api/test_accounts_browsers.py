"""What browsers are told, and that nothing secret reaches a log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.http import HttpRequest, HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.test import RequestFactory

from souk.accounts.operations import send_due_mails
from tests.books import run
from tests.callers import PASSWORD, Api, SignedIn

SHOP = "https://shop.example"


def test_every_answer_carries_the_security_headers(seller: SignedIn) -> None:
    for answer in (seller.get("/me"), Api().get("/me"), Api().get("/nowhere"), Api().get("//oauth/token")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; frame-ancestors 'none'")
        assert "Set-Cookie" not in answer.headers


def test_the_headers_are_those_of_djangos_own_middleware(anonymous: Api, settings: Any) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    def djangos(request: HttpRequest) -> Any:
        answer: Any = HttpResponse("{}")
        for layer in (SecurityMiddleware, XFrameOptionsMiddleware, CommonMiddleware):
            answer = layer(lambda _, answer=answer: answer)(request)
        return answer

    for scheme in ("http", "https"):
        request = RequestFactory().get("/", headers={"X-Forwarded-Proto": scheme, "Host": "localhost"})
        wanted = {
            name: value for name, value in djangos(request).items() if name not in ("Content-Type", "Content-Length")
        }
        assert ("Strict-Transport-Security" in wanted) == (scheme == "https")
        answer = anonymous.get("/tags", headers={"X-Forwarded-Proto": scheme})
        assert {name: value for name, value in answer.headers.items() if name in wanted} == wanted
        assert int(answer.headers["Content-Length"]) > 0


def test_only_listed_origins_may_call_and_never_with_credentials(seller: SignedIn, settings: Any) -> None:
    settings.CORS_ORIGINS = [SHOP]
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
    preflight = Api().send("OPTIONS", "/me", headers={"Origin": SHOP, **asked})
    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == SHOP
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    real = seller.get("/me", headers={"Origin": SHOP})
    assert (real.status, real.headers["Access-Control-Allow-Origin"]) == (200, SHOP)
    assert "ETag" in real.headers["Access-Control-Expose-Headers"]
    for origin in ("https://evil.example", "null", "https://shop.example.evil.example", "http://shop.example"):
        for answer in (
            seller.get("/me", headers={"Origin": origin}),
            Api().send("OPTIONS", "/me", headers={"Origin": origin, **asked}),
        ):
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in {**preflight.headers, **real.headers}


def test_no_origin_may_call_unless_one_is_listed(seller: SignedIn) -> None:
    assert "Access-Control-Allow-Origin" not in seller.get("/me", headers={"Origin": SHOP}).headers


def test_an_unknown_host_is_refused(anonymous: Api) -> None:
    refused = anonymous.get("//.well-known/oauth-authorization-server", headers={"Host": "evil.example"})
    assert (refused.status, refused.code) == (400, "malformed_request")


def test_no_password_token_or_address_reaches_a_log(
    anonymous: Api,
    mailoutbox: list[EmailMessage],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    settings: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    address, wrong, new = "very.private@example.org", "wrong horse battery", "another horse battery"
    made = anonymous.post("/users", {"username": "ada", "password": PASSWORD, "email": address})
    ada = SignedIn.sign_in("ada", made.body["id"])
    form = {"grant_type": "password", "username": "ada", "password": wrong, "client_id": "souk-web"}
    anonymous.form("/oauth/token", **form)
    anonymous.form("/oauth/token", **{**form, "password": wrong + "\0"})
    anonymous.send("POST", "//oauth/token", f"password={wrong}&%zz".encode(), content_type="text/plain")
    anonymous.form("/oauth/token", grant_type="refresh_token", refresh_token=ada.refresh_token, client_id="souk-web")
    anonymous.form("/oauth/token", grant_type="refresh_token", refresh_token=ada.refresh_token, client_id="souk-web")
    again = SignedIn.sign_in("ada", ada.id)
    again.post("/me/password", {"current_password": wrong, "new_password": new})
    again.post("/me/password", {"current_password": PASSWORD, "new_password": new})
    anonymous.post("/password-resets", {"email": address})
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    send_due_mails()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    run("UPDATE accounts_mailrequest SET due = clock_timestamp()")
    send_due_mails()
    mailed = [str(mail.body).splitlines()[4] for mail in mailoutbox]
    anonymous.post("/password-resets/confirm", {"token": mailed[0] + "x", "new_password": new})

    told = caplog.text + "".join(capfd.readouterr())
    assert "oauth/token" in told
    secrets = [PASSWORD, wrong, new, address, str(ada.token), ada.refresh_token, str(again.token), *mailed]
    assert len(secrets) == 9
    encoded = [secret.replace(" ", sign) for secret in secrets for sign in ("+", "%20")]
    assert [secret for secret in [*secrets, *encoded] if secret in told] == []
