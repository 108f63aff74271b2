"""Every command and snippet of the guide works as it stands there, against a running server."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from souk.settings import CHECKOUT
from souk.webhooks.gateway import signature
from tests.callers import PASSWORD
from tests.stack.conftest import SoukStack
from tests.stack.private import wait_for

PAGES = sorted((CHECKOUT / "docs" / "using").glob("*.md"))
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHOWN = "http://127.0.0.1:8000"
# What the blocks of a page print, one after the other.
PRINTED = {
    ("first-order.md", "sh"): r"seller-\d+\nbuyer-\d+\nWalnut bowl\n3\nCONFIRMED\nACCEPTED\n",
    ("first-order.md", "python"): r"ACCEPTED 3998\n",
    ("selling.md", "python"): r"412 version_mismatch\n(\w+ -?\d+ \w+\n)+\[\]\n",
    ("hearing.md", "python"): r"user.registered user 1\nwhsec_\n",
    (
        "conventions.md",
        "python",
    ): r"\['Spoon 2', 'Spoon 1', 'Spoon 0'\]\n400 validation_failed \[.*'/price/amount'.*\]\n",
}


def blocks(page: Path, language: str) -> str:
    """All blocks of this language in a page, as one script."""
    return "\n".join(code for name, code in FENCE.findall(page.read_text(encoding="utf-8")) if name == language)


def test_every_block_of_every_page_is_run_by_a_test() -> None:
    languages = {(page.name, name) for page in PAGES for name, _ in FENCE.findall(page.read_text(encoding="utf-8"))}
    # Of the browser's lines the ticket and the stream are tried in test_live.py.
    assert languages - PRINTED.keys() == {("hearing.md", "python receiver"), ("hearing.md", "js")}


@pytest.mark.parametrize(("page", "language"), PRINTED)
def test_the_blocks_of_a_page_do_what_it_says(souk_stack: SoukStack, page: str, language: str) -> None:
    if language == "sh" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    script = blocks(CHECKOUT / "docs" / "using" / page, language)
    assert SHOWN in script
    command = ["/bin/sh", "-euc"] if language == "sh" else [sys.executable, "-c"]
    done = subprocess.run(
        [*command, script.replace(SHOWN, souk_stack.base_url)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(PRINTED[page, language], done.stdout), done.stdout


@pytest.fixture
def token(souk_stack: SoukStack) -> str:
    """The token of somebody who is new."""
    name = f"reader-{uuid.uuid4().hex[:8]}"
    registration = {"username": name, "password": PASSWORD}
    httpx.post(f"{souk_stack.base_url}/api/v1/users", json=registration).raise_for_status()
    form = {"grant_type": "password", "client_id": "souk-web", "username": name, "password": PASSWORD}
    return str(httpx.post(f"{souk_stack.base_url}/oauth/token", data=form).raise_for_status().json()["access_token"])


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_of_the_pages_on_webhooks_and_live_streams_do_what_they_say(
    souk_stack: SoukStack, token: str
) -> None:
    environment = {**os.environ, "TOKEN": token, "API": f"{souk_stack.base_url}/api/v1"}
    live = f"http://127.0.0.1:{souk_stack.environment['SOUK_LIVE_PORT']}"

    def typed(page: str) -> str:
        script = blocks(CHECKOUT / "docs" / page, "sh").replace("http://127.0.0.1:8001", live)
        # The stream has no end, so whoever reads it has to leave.
        command = ["/bin/sh", "-c", script.replace("curl -N", "curl -N -s -m 2")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False).stdout

    secret = json.loads(typed("webhooks.md"))["secret"]
    assert typed("live.md").startswith("retry: 2000\nid: ")
    body, now = b'{"type": "order.accepted"}', int(time.time())
    made = signature(secret, message_id="1", timestamp=now, body=body)
    headers = {"webhook-id": "1", "webhook-timestamp": str(now), "webhook-signature": made}
    known: dict[str, Any] = {"body": body, "headers": headers}
    exec(blocks(CHECKOUT / "docs" / "webhooks.md", "python").replace("whsec_...", secret), known)  # noqa: S102  # our own page
    assert known["event"] == {"type": "order.accepted"}


@pytest.fixture
def receiver_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def test_the_receiver_takes_what_souk_signs_and_nothing_else(receiver_port: int) -> None:
    secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    script = blocks(CHECKOUT / "docs" / "using" / "hearing.md", "python receiver")
    assert len(script.strip().splitlines()) <= 25
    environment = {**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(receiver_port)}
    address, body, now = f"http://127.0.0.1:{receiver_port}/", b'{"type": "order.accepted"}', int(time.time())

    def sent(moment: int, made: str) -> int:
        headers = {"webhook-id": "1", "webhook-timestamp": str(moment), "webhook-signature": made}
        return httpx.post(address, content=body, headers=headers).status_code

    def listens() -> bool:
        with socket.socket() as knock:
            return knock.connect_ex(("127.0.0.1", receiver_port)) == 0

    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        try:
            wait_for(listens, what="the receiver listens")
            right = signature(secret, message_id="1", timestamp=now, body=body)
            assert [sent(now, right), sent(now, right), sent(now, "v1,AAAA")] == [204, 204, 401]
            old = now - 3600
            assert sent(old, signature(secret, message_id="1", timestamp=old, body=body)) == 401
        finally:
            running.terminate()
            printed, _ = running.communicate(timeout=30)
    assert printed == body.decode() + "\n"
