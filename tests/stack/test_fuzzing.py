"""Requests made from the contract by schemathesis, against everything running: all phases, all checks, three callers.

`make test` runs a short while per caller; `make test-contract CASES=200` runs as many cases per operation as it says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from souk.settings import CHECKOUT
from tests.books import RULES
from tests.contract.counts import Counts
from tests.stack.conftest import SoukStack

CALLERS = ("anonymous", "seller", "staff")
CASES = int(os.environ.get("CONTRACT_CASES", "0"))  # per operation and phase; 0: as many as the seconds allow
PHASES = os.environ.get("CONTRACT_PHASES", "examples,coverage,fuzzing,stateful")
SECONDS = 50
# None of those that are sent: whoever guesses it may end the caller's account, and all that comes after is a 401.
PASSWORD = "known-to-no-request-of-the-contract"
CONFIGURATION = CHECKOUT / "tests" / "contract" / "schemathesis.toml"


@pytest.fixture(scope="module")
def world(souk_stack: SoukStack) -> dict[str, Any]:
    """Tokens by caller, and the ids of things that are there."""
    mark = uuid.uuid4().hex[:8]
    done = souk_stack.souk("user", "create", "--username", f"fuzz-staff-{mark}", "--password", PASSWORD, "--staff")
    assert done.returncode == 0, done.stderr
    with httpx.Client(base_url=souk_stack.base_url, timeout=60) as client:

        def made(path: str, token: str | None = None, **body: Any) -> Any:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return client.post(f"/api/v1{path}", json=body, headers=headers).json()

        def token(name: str) -> str:
            form = {"grant_type": "password", "client_id": "souk-web", "username": name, "password": PASSWORD}
            return str(client.post("/oauth/token", data=form).json()["access_token"])

        users = [made("/users", username=f"fuzz-{name}-{mark}", password=PASSWORD)["id"] for name in ("a", "b")]
        staff, seller, other = (token(f"fuzz-{name}-{mark}") for name in ("staff", "a", "b"))
        tags = ["walnut", f"oak-{mark}"]
        for tag in tags:
            made("/tags", staff, name=tag)
        bowl = {"title": "Bowl", "price": {"amount": 100, "currency": "EUR"}, "stock": 1000, "tags": tags}
        products = [made("/products", whose, **bowl)["id"] for whose in (seller, other) for _ in range(6)]
        line = {"product_id": products[-1], "quantity": 1}
        orders = [made("/orders", seller, lines=[line])["id"] for _ in range(6)]
        hooks = [made("/webhooks", seller, url="https://shop.example/hook")["id"] for _ in range(3)]
    path = {"product_id": products, "order_id": orders, "webhook_id": hooks, "user_id": users}
    return {"tokens": {"seller": seller, "staff": staff}, "seeded": {"tags": tags, "path": path}}


@pytest.mark.parametrize("caller", CALLERS)
def test_no_request_of_the_contract_surprises_anybody(
    souk_stack: SoukStack, world: dict[str, Any], caller: str, tmp_path: Path, contract_counts: Counts
) -> None:
    # The short run always begins with the same seed, so that it tells of the change that it looks at; the long one
    # roams.
    short = ["--max-examples", "20", "--max-time", str(SECONDS), "--seed", "1"]
    budget = ["--max-examples", str(CASES)] if CASES else short
    token = world["tokens"].get(caller)
    report, counted = tmp_path / "report.json", tmp_path / "counted.json"
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIGURATION), "run",
            str(CHECKOUT / "docs" / "openapi.json"), "--url", souk_stack.base_url, *budget,
            *(["--header", f"Authorization: Bearer {token}"] if token else []),
            "--phases", PHASES, "--checks", "all", "--mode", "all",
            "--continue-on-failure", "--no-color", "--warnings", "off", "--request-timeout", "60", "--workers", "2",
            "--generation-database", "none", "--report", "json", "--report-json-path", str(report),
        ],
        env={
            **os.environ, "PYTHONPATH": str(CHECKOUT), "SCHEMATHESIS_HOOKS": "tests.contract.hooks",
            "SEEDED": json.dumps(world["seeded"]), "COUNTED": str(counted),
        },
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    contract_counts.add(caller, json.loads(counted.read_text()))
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    if token:
        me = httpx.get(f"{souk_stack.base_url}/api/v1/me", headers={"Authorization": f"Bearer {token}"}, timeout=60)
        assert me.status_code == 200, "the caller was signed out on the way: the requests behind it say little"
    told = json.loads(report.read_text())
    assert told["operations"]["tested"] == told["operations"]["total"]
    assert told["test_cases"]["generated"] > 500


def test_the_books_agree_after_all_of_it(souk_stack: SoukStack) -> None:
    with psycopg.connect(souk_stack.environment["SOUK_DATABASE_URL"]) as connection:
        broken = {rule: rows for rule, question in RULES.items() if (rows := connection.execute(question).fetchall())}
    assert broken == {}


def test_nothing_that_was_asked_was_an_error_of_ours(souk_stack: SoukStack) -> None:
    """The log of the API tells every 500, also of requests that no check looked at."""
    log = (souk_stack.home / "log" / "api.log").read_text(encoding="utf-8", errors="replace")
    assert [line for line in log.splitlines() if '"status": 500' in line or '"unhandled error"' in line] == []
