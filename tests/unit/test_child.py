"""A service that cannot be prepared is told to the supervisor as one that cannot be started."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from souk.stack.child import Child
from souk.stack.home import Home
from souk.stack.service import Service, StackError


def test_a_full_disk_at_the_start_of_one_service_is_no_end_of_the_supervisor(tmp_path: Path) -> None:
    def prepare() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    child = Child(Service(name="streams", argv=("true",), env={}, cwd=tmp_path, prepare=prepare), Home(tmp_path))
    with pytest.raises(StackError, match=r"^streams cannot be prepared: .*No space left on device"):
        child.start()
    assert child.pid is None
