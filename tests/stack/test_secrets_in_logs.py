"""No password, token, e-mail address or hash reaches a log of any process, the database's among them."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import psycopg

from tests.stack.conftest import SoukStack
from tests.stack.private import wait_for

FIRST, SECOND, WRONG = "walnut-and-oak-first", "walnut-and-oak-second", "walnut-and-oak-wrong"


class Session:
    """Somebody who does everything that takes a secret, and remembers all of them."""

    def __init__(self, stack: SoukStack) -> None:
        self.stack, self.headers = stack, dict[str, str]()
        self.name = f"user-{uuid4().hex[:12]}"
        self.address = f"{self.name}@very.private.example"
        self.secrets = {FIRST, SECOND, WRONG, self.address}

    def post(self, path: str, **body: str) -> int:
        address = f"{self.stack.base_url}/api/v1{path}"
        return httpx.post(address, json=body, headers=self.headers, timeout=30).status_code

    def sign_in(self, password: str) -> int:
        form = {"grant_type": "password", "username": self.name, "password": password, "client_id": "souk-web"}
        given = httpx.post(f"{self.stack.base_url}/oauth/token", data=form, timeout=30)
        if given.status_code == 200:
            self.secrets |= {given.json()["access_token"], given.json()["refresh_token"]}
            self.headers = {"Authorization": f"Bearer {given.json()['access_token']}"}
        return given.status_code

    def mailed(self, subject: str) -> str:
        """The token of the last mail about this; it becomes a secret."""
        found: list[str] = []

        def arrived() -> bool:
            mails = [path.read_text() for path in sorted((self.stack.home / "mail").glob("*"))]
            ours = [mail for mail in mails if subject in mail and self.address in mail]
            found.extend(re.findall(r"^([\w-]{43})$", "\n".join(ours), re.MULTILINE))
            return bool(found)

        wait_for(arrived, what=f"the mail {subject} has come")
        self.secrets.add(found[-1])
        return found[-1]


def test_nothing_that_somebody_typed_or_was_given_stands_in_a_log(souk_stack: SoukStack) -> None:
    ada = Session(souk_stack)
    registration = {"username": ada.name, "password": FIRST, "email": ada.address}
    with ThreadPoolExecutor(8) as threads:
        made = threads.map(lambda _: ada.post("/users", **registration), range(8))
    assert sorted(made) == [201] + [409] * 7
    assert [ada.sign_in(WRONG), ada.sign_in(FIRST)] == [400, 200]
    assert ada.post("/me/password", current_password=FIRST, new_password=SECOND) == 204
    assert ada.sign_in(SECOND) == 200
    assert ada.post("/email-verifications/confirm", token=ada.mailed("Is this your address?")) == 204
    assert ada.post("/password-resets", email=ada.address) == 202
    assert ada.post("/password-resets/confirm", token=ada.mailed("Set a new password"), new_password=FIRST) == 204
    ada.headers = {}  # the token died with the password
    assert (souk_stack.home / "mail").stat().st_mode & 0o777 == 0o700

    # Statements that PostgreSQL refuses while they hold an address and a hash.
    with psycopg.connect(souk_stack.environment["SOUK_DATABASE_URL"]) as database:
        hashes = database.execute("SELECT password FROM accounts_user WHERE username = %s", [ada.name]).fetchall()
        database.execute("LOCK TABLE accounts_mailrequest")
        assert ada.post("/password-resets", email=ada.address) == 503
        database.rollback()
        database.execute("LOCK TABLE accounts_user IN EXCLUSIVE MODE")
        other = {**registration, "username": f"{ada.name}-2"}
        assert ada.post("/users", **other) == 503
    secrets = {*ada.secrets, *(one for (one,) in hashes), "argon2"}
    logs = {path.name: path.read_text(errors="replace") for path in (souk_stack.home / "log").iterdir()}
    assert "canceling statement due to lock timeout" in logs["postgres.log"]
    assert "oauth/token" in logs["api.log"]
    assert [(name, secret) for name, log in logs.items() for secret in secrets if secret in log] == []
