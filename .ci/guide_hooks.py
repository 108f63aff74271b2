"""What the generator of the guide is told beyond its settings: scripts stand in files, as the policy of pages wants."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """A page made from Markdown."""
    return _with_scripts_in_files(output, config)


def on_post_template(output_content: str, *, template_name: str, config: Any) -> str:
    """A page of the theme's own, such as that of what is not there."""
    return _with_scripts_in_files(output_content, config)


def _with_scripts_in_files(text: str, config: Any) -> str:
    """Every script that is written into the page moved into a file beside the theme's own."""

    def moved(found: re.Match[str]) -> str:
        name = f"assets/inline/{sha256(found[1].encode()).hexdigest()[:16]}.js"
        file = Path(config.site_dir) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found[1], encoding="utf-8")
        return f'<script src="/guide/{name}"></script>'

    return INLINE.sub(moved, text)
