"""Real orders and the demonstration, played against everything running, end as they must."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.private import SoukStack

HOLD_SECONDS = "10"


@pytest.fixture(scope="module")
def quick_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoukStack]:
    """A stack whose orders wait for seconds only."""
    extra = {"SOUK_RATE_LIMITS": "off", "SOUK_ORDER_HOLD_SECONDS": HOLD_SECONDS}
    stack = SoukStack(tmp_path_factory.mktemp("quick"), extra=extra)
    stack.up()
    yield stack
    stack.down()


def table_of(output: str) -> dict[str, str]:
    """The closing table, as name -> value."""
    cells = re.findall(r"^│ (.+?) +│ (.+?) +│$", output, re.MULTILINE)
    return {str(name): str(value) for name, value in cells}


def made_up_orders(folder: Path, count: int) -> Path:
    """Orders of ten products of four sellers; every product is wanted many times."""
    path = folder / "orders.jsonl"
    lines = [
        {
            "order_id": f"order-{number}",
            "customer_id": "somebody",
            "lines": [
                {
                    "product_id": f"product-{(number + step) % 10}",
                    "seller_id": f"seller-{(number + step) % 10 % 4}",
                    "quantity": 1 + number % 3,
                    "unit_price_cents": 1000 + number,
                }
                for step in range(1 + number % 2)
            ],
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_every_replayed_order_ends_in_its_right_state_and_the_books_agree(
    quick_stack: SoukStack, tmp_path: Path
) -> None:
    path = made_up_orders(tmp_path, 60)
    done = quick_stack.souk("replay", "orders", str(path), "--limit", "0", "--url", quick_stack.base_url)
    assert done.returncode == 0, done.stdout + done.stderr
    told = table_of(done.stdout)
    assert told["orders played"] == "60"
    refused = int(told.get("refused: out_of_stock", "0"))
    ended = [int(told[name]) for name in ("accepted", "expired unconfirmed", "expired after a declined payment")]
    assert sum(ended) == int(told["placed"]) == 60 - refused
    assert refused < 12
    assert told["stock, ledger and orders"] == "agree"


def test_real_orders_can_be_replayed_twice_on_one_market(quick_stack: SoukStack, real_data: Path) -> None:
    path = real_data / "olist" / "orders.jsonl.gz"
    for seed in ("1", "2"):
        done = quick_stack.souk(
            "replay", "orders", str(path), "--limit", "80", "--seed", seed, "--url", quick_stack.base_url
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told = table_of(done.stdout)
        assert (told["orders played"], told["stock, ledger and orders"]) == ("80", "agree")
        assert int(told["placed"]) >= 70


def test_the_demonstration_tells_both_ends_of_an_order(quick_stack: SoukStack) -> None:
    done = quick_stack.souk("demo", "--url", quick_stack.base_url)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [line for line in done.stdout.splitlines() if re.match(r" *\d+  \w", line)]
    states = [state for line in steps for state in ("ACCEPTED", "NOT_CONFIRMED") if f" {state} " in line]
    assert states == ["ACCEPTED", "NOT_CONFIRMED"]
    assert "PENDING_CONFIRMATION (user) → CONFIRMED (user) → ACCEPTED (system)" in done.stdout
    assert "PENDING_CONFIRMATION (user) → NOT_CONFIRMED (system)" in done.stdout


def test_an_import_with_a_bad_line_imports_the_rest_and_fails(quick_stack: SoukStack, tmp_path: Path) -> None:
    line = {"external_id": "1", "seller": "HP", "title": "Ink", "price": {"amount": 1, "currency": "EUR"}, "stock": 1}
    lines = [line, {**line, "external_id": "2", "stock": -1}, {**line, "external_id": "3"}]
    path = tmp_path / "products.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    done = quick_stack.souk("import", "products", str(path))
    assert done.returncode == 1
    assert "line 2: /stock: " in done.stderr
    told = table_of(done.stdout)
    assert (told["created"], told["refused"], told["users made"]) == ("2", "1", "1")
    missing = quick_stack.souk("import", "products", str(tmp_path / "nothing"))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == f"{tmp_path / 'nothing'} cannot be read: No such file or directory.\n"


def test_a_replay_without_an_api_says_what_to_do(quick_stack: SoukStack, tmp_path: Path) -> None:
    path = made_up_orders(tmp_path, 1)
    done = quick_stack.souk("replay", "orders", str(path), "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "Is `souk up` running?" in done.stderr
