"""The human door: one module per family of commands, each with a Typer named `app` that `souk/cli.py` joins.

A command translates what a person typed and calls one operation. Modules are imported for every call of `souk`, so
what needs Django's models calls `set_up_django()` first and imports them inside the command.
"""

from __future__ import annotations

import django


def set_up_django() -> None:
    """Make models and settings usable in this process. Cheap when it was done before."""
    django.setup()
