"""`souk status` as a person sees it: a table that stays up to date on a terminal, and is told once elsewhere."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress

from tests.callers import PASSWORD
from tests.stack.private import SoukStack, bare_environment, wait_for

NAMES = ("postgres", "streams", "cache", "capture", "clock", "worker", "live", "api", "supervisor")


def test_on_a_terminal_it_stays_up_to_date_until_it_is_ended(souk_stack: SoukStack) -> None:
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "souk", "status"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**bare_environment(), "SOUK_HOME": str(souk_stack.home), "TERM": "xterm-256color", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(mine, False)
    seen = b""

    def looked_again() -> bool:
        nonlocal seen
        with suppress(OSError):
            seen += os.read(mine, 65536)
        return seen.count(b"Souk is") >= 3 and b"requests/s" in seen

    wait_for(looked_again, what="it has looked three times")
    process.send_signal(signal.SIGINT)

    def has_ended() -> bool:
        looked_again()  # a terminal that nobody reads takes no last words
        return process.poll() is not None

    wait_for(has_ended, what="it has ended")
    assert process.returncode == 0
    os.close(mine)
    text = re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen).decode()
    assert [name for name in NAMES if name not in text] == []
    assert "Ctrl-C ends this." in text


def test_elsewhere_it_is_told_once_and_in_plain_text(souk_stack: SoukStack) -> None:
    done = souk_stack.souk("status")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert done.stdout.count("Souk is ready at") == 1
    assert [name for name in (*NAMES, "payments", "slot: is read") if name not in done.stdout] == []


def test_a_group_without_staff_is_refused_and_no_account_is_made(souk_stack: SoukStack) -> None:
    asked = ("user", "create", "--username", "grouped", "--password", PASSWORD, "--group", "readers")
    done = souk_stack.souk(*asked)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--staff" in done.stderr
    unknown = souk_stack.souk(*asked, "--staff")
    assert (unknown.returncode, unknown.stderr.strip()) == (1, "There is no group readers.")
    assert souk_stack.souk("user", "create", "--username", "grouped", "--password", PASSWORD).returncode == 0
