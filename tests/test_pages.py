"""What the project says about itself is true: settings, dependencies, pages, commands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping

import typer

from souk.cli import joined
from tests.sources import ROOT, SOUK, place, texts


def test_the_example_environment_names_every_variable_that_settings_read() -> None:
    settings = (SOUK / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r"\"(SOUK_[A-Z_]+)\"", settings))
    shown = set(re.findall(r"^#? ?(SOUK_[A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert read
    assert shown == read - {"SOUK_PROCESS"}, "SOUK_PROCESS is set by `souk` itself for its child processes"


def test_every_dependency_has_a_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)
    named = [
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
        *(one for group in project["dependency-groups"].values() for one in group),
        *project["build-system"]["requires"],
    ]
    assert len(named) > 10
    reasons = {one: re.search(rf'"{re.escape(one)}"[,\]]* +# (\S+ \S+.*)', text) for one in named}
    assert [one for one, reason in reasons.items() if reason is None] == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    private = re.compile(r"(?<![\w.~}$:/-])/(?:home|root|work|Users|mnt|opt|srv|scratch)/[\w.-]+")
    named = [
        f"{place(path, number)} {found.group()}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for found in private.finditer(line)
    ]
    assert named == []


def test_every_decision_says_its_context_the_decision_and_its_cost() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert [page.name[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    headings = {page.name: re.findall(r"^##? (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE) for page in pages}
    wrong = [
        name
        for name, (title, *sections) in headings.items()
        if not title.startswith(f"{name[:4]}: ") or sections != ["Context", "Decision", "What it costs"]
    ]
    assert wrong == []
    assert [page.name for page in pages if f"({page.name})" not in index] == []


def test_every_link_between_our_pages_leads_somewhere() -> None:
    broken = [
        f"{place(page)} -> {target}"
        for page in texts()
        if page.suffix == ".md"
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_room_is_drawn_on_the_map() -> None:
    drawn = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    rooms = [path.name for path in SOUK.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [room for room in rooms if f"  {room}/" not in drawn] == []


def commands_named(text: str, program: str) -> Iterator[list[str]]:
    """The words after the program's name, in fenced blocks and in code spans, as far as they could name commands."""
    # A span may be broken over two lines; a fenced block is read line by line.
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for code in [line for block in blocks for line in block.splitlines()] + spans:
        for found in re.findall(rf"(?:^|&& |\$ )\s*(?:\.venv/bin/)?{program}((?: [a-z][a-z-]*)+)", code):
            yield found.split()


def test_every_souk_command_in_our_pages_exists() -> None:
    root = typer.main.get_command(joined())
    named = [
        (place(page), words)
        for page in texts()
        if page.suffix == ".md"
        for words in commands_named(page.read_text(encoding="utf-8"), "souk")
    ]
    assert named
    unknown = []
    for page, words in named:
        commands: Mapping[str, object] | None = {"souk": root}
        for word in ["souk", *words]:
            if commands is None:
                break
            if word not in commands:
                unknown.append(f"{page}: souk {' '.join(words)}")
                break
            # A command has no commands of its own: what follows it are its arguments.
            commands = getattr(commands[word], "commands", None)
    assert unknown == []


def test_every_make_target_in_our_pages_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [
        (place(page), words[0])
        for page in texts()
        if page.suffix == ".md"
        for words in commands_named(page.read_text(encoding="utf-8"), "make")
    ]
    assert named
    assert [f"{page}: make {target}" for page, target in named if target not in targets] == []


def test_every_threat_on_the_page_of_security_names_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    threats = [line for line in page.splitlines() if re.match(r"\| (API\d|\d\.\d|revocation)", line)]
    named = {line: re.findall(r"`(tests/\w+/test_\w+\.py)(?:::(test_\w+))?`", line) for line in threats}
    assert [line[:40] for line, tests in named.items() if not tests] == []
    assert {f"API{number}" for number in range(1, 11)} <= {line.split()[1] for line in threats}
    missing = [
        f"{path}::{test}"
        for tests in named.values()
        for path, test in tests
        if not (ROOT / path).exists() or f"def {test}" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert missing == []
