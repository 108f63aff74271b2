"""The rules of the house that no tool counts for us. Each test names every place that breaks its rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.sources import SOUK, modules, nodes, place, tree

DOMAIN_ROOMS = ("accounts", "stock", "catalog", "bags", "payments", "search", "social", "webhooks", "orders")
ROOM_FILES = {
    "__init__.py",
    "apps.py",
    "models.py",
    "machine.py",
    "operations.py",
    "gateway.py",
    "serializers.py",
    "views.py",
    "urls.py",
    "contract.py",
    "admin.py",
}
ROOM_FOLDERS = {"operations", "migrations"}
# What a library asks for by a dotted name and no other file of the room is about.
ROOM_EXTRAS = {
    "accounts": {
        "authentication.py": "the bearer check that Django REST framework loads",
        "hashing.py": "the password hasher that Django loads",
        "tokens.py": "the validator that django-oauth-toolkit loads",
    },
    "search": {"wire.py": "the connection that opensearch-py makes, and what it brings"},
}
NAMES_THAT_SAY_NOTHING = {
    "utils",
    "util",
    "helpers",
    "common",
    "services",
    "managers",
    "selectors",
    "repositories",
    "exceptions",
    "signals",
    "misc",
}


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def database_nodes() -> Iterator[tuple[Path, ast.AST]]:
    """What could touch a row: all but the stack, which may not import Django."""
    return ((path, node) for path, node in nodes("souk") if not path.is_relative_to(SOUK / "stack"))


def test_every_module_stays_under_350_lines() -> None:
    lengths = {
        place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules("souk", "tests", "bench")
    }
    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines >= 350} == {}


def test_every_function_stays_under_40_lines() -> None:
    lengths = {
        f"{place(path, node.lineno)} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path, node in nodes("souk", "tests", "bench")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert lengths
    assert {function: lines for function, lines in lengths.items() if lines >= 40} == {}


def test_domain_rooms_hold_the_same_few_files_and_nothing_else() -> None:
    strangers = []
    for room in DOMAIN_ROOMS:
        for path in sorted((SOUK / room).glob("*")):
            if path.name == "__pycache__":
                continue
            allowed = ROOM_FOLDERS if path.is_dir() else ROOM_FILES | set(ROOM_EXTRAS.get(room, {}))
            if path.name not in allowed:
                strangers.append(place(path))
    assert strangers == []
    assert [
        place(SOUK / room / name)
        for room, extras in ROOM_EXTRAS.items()
        for name in extras
        if not (SOUK / room / name).exists()
    ] == []


def test_a_room_has_operations_as_a_file_or_as_a_folder() -> None:
    both = [
        room
        for room in DOMAIN_ROOMS
        if (SOUK / room / "operations.py").exists() and (SOUK / room / "operations").exists()
    ]
    assert both == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    named = [*modules("souk", "tests"), *(p for p in SOUK.rglob("*") if p.is_dir())]
    assert [place(path) for path in named if path.stem in NAMES_THAT_SAY_NOTHING] == []


def test_nothing_listens_to_django_signals() -> None:
    heard = [
        f"{place(path)} {name}"
        for path, node in nodes("souk")
        for name in imported_names(node)
        if name.startswith("django.dispatch") or ".signals" in name
    ]
    assert heard == []


def test_no_class_overrides_how_a_row_is_saved() -> None:
    overrides = [
        place(path, method.lineno)
        for path, node in database_nodes()
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name in {"save", "save_base", "bulk_create", "bulk_update"}
    ]
    assert overrides == []


def test_a_row_is_saved_with_its_fields_named() -> None:
    unnamed = [
        place(path, node.lineno)
        for path, node in database_nodes()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "save"
        and not {"update_fields", "force_insert"}.intersection(keyword.arg or "" for keyword in node.keywords)
    ]
    assert unnamed == []


def test_row_locks_let_foreign_keys_be_checked() -> None:
    locks = [
        place(path, node.lineno)
        for path, node in nodes("souk")
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "select_for_update"
        and not any(word.arg == "no_key" and ast.unparse(word.value) == "True" for word in node.keywords)
    ]
    # Plain FOR UPDATE is right for rows that are about to be deleted and may be skipped, and for nothing else.
    statements = [
        place(path, node.lineno)
        for path, node in nodes("souk")
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"\bFOR\s+UPDATE\b(?!(\s+OF\s+\w+)?\s+SKIP\s+LOCKED)", node.value)
    ]
    assert locks + statements == []


def reads_one_variable(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return dotted(node.value) == "os.environ"
    if isinstance(node, ast.Compare):
        return any(dotted(right) == "os.environ" for right in node.comparators)
    if isinstance(node, ast.Call):
        return dotted(node.func) in {"os.getenv", "os.environ.get", "os.environ.pop"}
    return False


def test_settings_alone_read_the_environment() -> None:
    """The stack and the commands may hand the whole environment on to a child process; nobody reads one variable."""
    readers = []
    for path, node in nodes("souk"):
        if path == SOUK / "settings.py":
            continue
        starts_processes = path.relative_to(SOUK).parts[0] in {"stack", "commands"}
        names_settings = path in {SOUK / "cli.py", SOUK / "wsgi.py", SOUK / "asgi.py"}
        imported = any(re.match(r"environs\b|os\.(environ|getenv)\b", name) for name in imported_names(node))
        mentioned = dotted(node) == "os.environ" and not (starts_processes or names_settings)
        if imported or mentioned or reads_one_variable(node):
            readers.append(place(path, getattr(node, "lineno", None)))
    assert readers == []


def test_every_exemption_from_a_check_has_a_code_and_a_reason() -> None:
    typed = re.compile(r"#\s*type:\s*ignore(?!\[[a-z, -]+\]\s+#\s*\w+\W+\w+)")
    linted = re.compile(
        r"#\s*(?:ruff:\s*|flake8:\s*)?noqa(?!:\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*\s+[#-]?\s*\w+\W+\w+)", re.IGNORECASE
    )
    exempted = [
        place(path, number)
        for path in modules("souk", "tests", "bench")
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if typed.search(line) or linted.search(line)
    ]
    assert exempted == []


def test_every_migration_after_the_first_says_whether_old_code_can_run_beside_it() -> None:
    silent = [
        place(path)
        for path in modules("souk")
        if path.parent.name == "migrations" and path.stem not in {"__init__", "0001_initial"}
        if not ast.get_docstring(tree(path))
    ]
    assert silent == []


def test_the_name_of_every_test_is_a_sentence() -> None:
    short = [
        f"{place(path)}: {name}"
        for path in modules("tests")
        for name in re.findall(r"^ *(?:async )?def test_(\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
        if len(name.split("_")) < 4
    ]
    assert short == []
