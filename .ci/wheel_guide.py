"""The wheel carries the guide: hatchling calls this while it builds one, wherever that is.

An editable installation (`make setup`) serves the guide that `make guide` builds into the checkout, or none.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GuideHook(BuildHookInterface[Any]):
    """Builds the guide beside the checkout and puts it where `souk.web.pages` looks for it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        folder = Path(mkdtemp(prefix="souk-guide-"))
        subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
            cwd=self.root, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, check=True,
        )  # fmt: skip
        build_data["force_include"][str(folder)] = "souk/web/guide"
