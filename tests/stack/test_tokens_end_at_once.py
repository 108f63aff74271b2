"""Whatever ends a token ends it for the very next request, at the running server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.stack.conftest import SoukStack

PASSWORD = "walnut-and-oak"


@dataclass
class Account:
    """A registered user with a pair of tokens."""

    stack: SoukStack
    username: str
    access: str = ""
    refresh: str = ""

    @classmethod
    def register(cls, stack: SoukStack) -> Account:
        account = cls(stack, f"user-{uuid4().hex[:12]}")
        body = {"username": account.username, "password": PASSWORD}
        httpx.post(f"{stack.base_url}/api/v1/users", json=body).raise_for_status()
        given = account.token(grant_type="password", username=account.username, password=PASSWORD)
        account.access, account.refresh = given.json()["access_token"], given.json()["refresh_token"]
        return account

    def token(self, **form: str) -> httpx.Response:
        return httpx.post(f"{self.stack.base_url}/oauth/token", data={**form, "client_id": "souk-web"})

    def me(self) -> int:
        return httpx.get(f"{self.stack.base_url}/api/v1/me", headers=self.headers).status_code

    def post(self, path: str, body: dict[str, str]) -> int:
        return httpx.post(f"{self.stack.base_url}/api/v1{path}", json=body, headers=self.headers).status_code

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access}"}


def revoke(account: Account) -> None:
    form = {"token": account.access, "client_id": "souk-web"}
    assert httpx.post(f"{account.stack.base_url}/oauth/revoke", data=form).status_code == 200


def reuse_the_refresh_token(account: Account) -> None:
    renewed = account.token(grant_type="refresh_token", refresh_token=account.refresh)
    assert renewed.status_code == 200
    account.access = renewed.json()["access_token"]
    assert account.me() == 200
    assert account.token(grant_type="refresh_token", refresh_token=account.refresh).status_code == 400


def change_the_password(account: Account) -> None:
    assert account.post("/me/password", {"current_password": PASSWORD, "new_password": "oak-and-walnut-2"}) == 204


def delete_the_account(account: Account) -> None:
    assert account.post("/me/delete", {"password": PASSWORD}) == 204


def lock_the_account(account: Account) -> None:
    assert account.stack.souk("user", "lock", account.username).returncode == 0


def let_it_expire(account: Account) -> None:
    with psycopg.connect(account.stack.environment["SOUK_DATABASE_URL"], autocommit=True) as database:
        changed = database.execute(
            "UPDATE oauth2_provider_accesstoken SET expires = clock_timestamp() WHERE user_id ="
            " (SELECT id FROM accounts_user WHERE username = %s)",
            [account.username],
        )
        assert changed.rowcount == 1


@pytest.mark.parametrize(
    "end",
    [revoke, reuse_the_refresh_token, change_the_password, delete_the_account, lock_the_account, let_it_expire],
)
def test_the_next_request_after_the_end_of_a_token_is_refused(
    souk_stack: SoukStack, end: Callable[[Account], None]
) -> None:
    account = Account.register(souk_stack)
    assert account.me() == 200
    end(account)
    assert account.me() == 401
