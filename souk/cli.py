"""The `souk` command: joins the commands of `souk/commands`, and nothing else."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec

import typer

# Each of these modules has a Typer named `app`, whose commands become commands of `souk`.
MODULES = ("running", "status", "diagnosis", "processes", "data", "users", "stock", "events", "backups", "search")
# Processes whose settings (time limits, names of connections) differ from those of a command at a terminal.
PROCESSES = ("api", "live", "worker", "clock")


def joined() -> typer.Typer:
    """One Typer with the commands of every module."""
    app = typer.Typer(
        name="souk",
        help="Souk: a marketplace back end. `souk up` starts all of it on this machine.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in MODULES:
        if find_spec(f"souk.commands.{name}"):
            app.add_typer(import_module(f"souk.commands.{name}").app)
    return app


def main() -> None:
    """Run the command line."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    # The settings are read when the commands are imported, and must know by then what kind of process this is.
    os.environ.setdefault("SOUK_PROCESS", asked if asked in PROCESSES else "command")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "souk.settings")
    try:
        app = joined()
    except ValueError as error:  # what the settings raise while the commands import them
        sys.exit(f"souk: a setting in the environment is wrong: {error}. docs/operations.md lists them.")
    app()
