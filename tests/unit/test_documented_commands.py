"""Every `souk` command of the README and the pages takes the options and arguments that stand behind it there.

That the commands, and the targets of `make`, exist is asked in tests/test_pages.py.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from souk.cli import joined
from souk.settings import CHECKOUT

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
QUOTED = re.compile(r"`(souk [^`]*)`")
# What stands for a value, and for what may be left out.
PLACEHOLDER = re.compile(r"\.\.\.|[A-Z]+")


def commands() -> Iterator[tuple[str, str]]:
    """Page and command, from blocks and from sentences."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in FENCE.findall(text) for line in block.splitlines()]
        found = [line for line in lines if line.startswith("souk ")]
        for command in [*found, *QUOTED.findall(FENCE.sub("", text))]:
            yield page.name, command.partition("#")[0].strip().rstrip("|").strip()


COMMANDS = sorted(set(commands()))


def complaint(words: list[str]) -> str | None:
    """Why `souk` with these words is no command; None when it is one."""
    here: Any = typer.main.get_command(joined())  # a class of click's, or of Typer's own copy of it
    while hasattr(here, "commands") and words and not words[0].startswith("-"):
        name, *words = words
        if name not in here.commands:
            return f"there is no {name}"
        here = here.commands[name]
    if here.name == "django":
        return None  # Django's own commands
    known = {option for parameter in here.params for option in (*parameter.opts, *parameter.secondary_opts)}
    options = [word.strip("[]") for word in words if word.strip("[]").startswith("-")]
    wrong = [option for option in options if option not in known | {"--help"}]
    takes = any(parameter.param_type_name == "argument" for parameter in here.params)
    plain = [word for word in words if word[0] not in "[-" and not PLACEHOLDER.fullmatch(word)]
    if wrong:
        return f"it has no {wrong}"
    return None if takes or not plain or options else f"it takes no {plain}"


def test_the_pages_name_commands() -> None:
    assert len(COMMANDS) > 30


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_of_the_pages_is_there(page: str, command: str) -> None:
    _, *words = shlex.split(command.replace("|", " "))
    if words != ["..."]:
        assert complaint(words) is None


@pytest.mark.parametrize("words", [["nothing"], ["events", "nothing"], ["up", "--nothing"], ["down", "this"]])
def test_a_command_that_is_not_there_is_found_out(words: list[str]) -> None:
    assert complaint(words) is not None
