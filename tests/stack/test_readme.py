"""The curl session of the README works as typed."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from souk.settings import CHECKOUT
from tests.stack.conftest import SoukStack

SESSION = re.compile(r"^## An order in ten lines.*?^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_ten_lines_end_with_an_accepted_order(souk_stack: SoukStack) -> None:
    found = SESSION.search((CHECKOUT / "README.md").read_text())
    assert found is not None
    lines = found[1].strip().splitlines()
    assert len(lines) == 10
    typed = found[1].replace("http://127.0.0.1:8000", souk_stack.base_url)
    assert typed != found[1]

    printed = subprocess.run(["/bin/sh", "-c", typed], capture_output=True, text=True, timeout=60, check=True)

    names, states = printed.stdout.split()[:2], printed.stdout.split()[2:]
    assert [name.partition("-")[0] for name in names] == ["seller", "buyer"]
    assert states == ["CONFIRMED", "ACCEPTED"]
