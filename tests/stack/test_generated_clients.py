"""A client that nobody here wrote does the main job: it is generated from docs/openapi.json and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from souk.settings import CHECKOUT
from tests.callers import PASSWORD
from tests.stack.conftest import SoukStack

CONTRACT = CHECKOUT / "docs" / "openapi.json"
# What has a default need not be sent.
OPTIONS = ("--default-non-nullable", "false")
SCRIPT = Path(__file__).parent / "main_job.ts"
# Pinned, so that a new release does not fail a test of ours.
NPM_PACKAGES = ("openapi-typescript@7", "openapi-fetch@0.14", "typescript@5.9", "@types/node@20")


@pytest.fixture(scope="module")
def python_client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The package that openapi-python-client makes of the contract; whatever it complains about fails the test."""
    folder = tmp_path_factory.mktemp("python-client")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # it formats with ruff
    done = subprocess.run(
        [
            sys.executable, "-m", "openapi_python_client", "generate", "--path", str(CONTRACT), "--meta", "none",
            "--fail-on-warning", "--output-path", str(folder / "generated_souk"),
        ],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    yield __import__("generated_souk", fromlist=["client"])
    sys.path.remove(str(folder))


def api(name: str) -> Any:
    """A module of the generated package."""
    return __import__(f"generated_souk.{name}", fromlist=["*"])


def test_a_generated_python_client_orders_searches_pages_and_hears(
    souk_stack: SoukStack, python_client: Any, request: pytest.FixtureRequest
) -> None:
    models, clients = api("models"), api("client")
    stranger = clients.Client(base_url=souk_stack.base_url, timeout=60)

    def signed_in(name: str) -> Any:
        registration = models.RegisterRequest(username=f"{name}-{uuid.uuid4().hex[:8]}", password=PASSWORD)
        user = api("api.accounts.register_user").sync(client=stranger, body=registration)
        form = models.TokenRequest(
            grant_type=models.TokenRequestGrantType.PASSWORD, client_id="souk-web",
            username=user.username, password=PASSWORD,
        )  # fmt: skip
        token = api("api.tokens.issue_token").sync(client=stranger, body=form)
        return clients.AuthenticatedClient(base_url=souk_stack.base_url, token=token.access_token, timeout=60)

    seller, buyer = signed_in("seller"), signed_in("buyer")
    for client in (stranger, seller, buyer):
        request.addfinalizer(client.get_httpx_client().close)
    word = f"walnut{uuid.uuid4().hex[:8]}"
    euros = models.Money(amount=1999, currency=models.MoneyCurrency.EUR)
    for number in range(3):
        offer = models.ProductRequest(title=f"{word} bowl {number}", price=euros, stock=5)
        product = api("api.products.create_product").sync(client=seller, body=offer)
        assert product.state == "ACTIVE"
    search = api("api.products.search_products").sync
    first = search(client=stranger, q=word, limit=2)
    second = search(client=stranger, q=word, limit=2, cursor=first.next_)
    assert [product.title for product in first.results + second.results] == [f"{word} bowl {n}" for n in (2, 1, 0)]

    wanted = models.PlaceOrderRequest(lines=[models.LineRequest(product_id=product.id, quantity=2)])
    order = api("api.orders.place_order").sync(client=buyer, body=wanted, idempotency_key=str(uuid.uuid4()))
    card = models.CardRequest(method=models.CardRequestMethod.CARD, token=models.CardRequestToken.TOK_OK)
    api("api.orders.confirm_order").sync(order.id, client=buyer, body=models.ConfirmOrderRequest(payment=card))
    deadline = time.monotonic() + 60
    while order.state != "ACCEPTED" and time.monotonic() < deadline:
        order = api("api.orders.get_order").sync(order.id, client=buyer)
    assert (order.state, order.total.amount) == ("ACCEPTED", 3998)
    _hears_and_is_refused(buyer, wanted)


def _hears_and_is_refused(buyer: Any, wanted: Any) -> None:
    models = api("models")
    hook = models.WebhookRequest(
        url="https://shop.example/hook", types=[models.WebhookRequestTypesItem("order.accepted")]
    )
    assert api("api.webhooks.create_webhook").sync(client=buyer, body=hook).secret.startswith("whsec_")
    short = api("api.orders.place_order").sync(client=buyer, body=wanted.from_dict(_too_many(wanted.to_dict())))
    assert (short.code, short.errors[0].available) == ("out_of_stock", 3)


def _too_many(order: dict[str, Any]) -> dict[str, Any]:
    return {"lines": [{**line, "quantity": 1000} for line in order["lines"]]}


@pytest.fixture(scope="module")
def typescript_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Types of the contract, the script that uses them, and both as JavaScript; skipped where npm cannot give them."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed")
    folder = tmp_path_factory.mktemp("typescript-client")
    (folder / "package.json").write_text(json.dumps({"type": "module"}))
    got = _run(folder, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *NPM_PACKAGES)
    if got.returncode != 0:
        pytest.skip(f"npm did not give the generator: {got.stderr.strip().splitlines()[-1:]}")
    made = _run(folder, "npx", "--no-install", "openapi-typescript", str(CONTRACT), *OPTIONS, "-o", "souk.d.ts")
    assert made.returncode == 0, made.stdout + made.stderr
    shutil.copy(SCRIPT, folder / "main_job.ts")
    options = ["--strict", "--module", "nodenext", "--target", "es2022", "--skipLibCheck"]
    compiled = _run(folder, "npx", "--no-install", "tsc", *options, "main_job.ts")
    assert compiled.returncode == 0, compiled.stdout + compiled.stderr
    return folder


def test_a_generated_typescript_client_does_the_same(souk_stack: SoukStack, typescript_client: Path) -> None:
    done = _run(typescript_client, "node", "main_job.js", souk_stack.base_url, uuid.uuid4().hex[:8])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["ACCEPTED", "3998", "2", "1", "whsec_"]


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
