"""The project's own files, for tests about the project itself."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOUK = ROOT / "souk"


@cache
def modules(*folders: str) -> tuple[Path, ...]:
    return tuple(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path, line: int | None = None) -> str:
    return f"{path.relative_to(ROOT)}" + (f":{line}" if line else "")


@cache
def walked(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(path)))


def nodes(*folders: str) -> Iterator[tuple[Path, ast.AST]]:
    for path in modules(*folders):
        for node in walked(path):
            yield path, node


@cache
def texts() -> tuple[Path, ...]:
    """Every text file of the project that is written by hand."""
    made = {".git", ".venv", ".uv", ".souk", ".hypothesis", "__pycache__", "build", "dist"}
    kinds = {".py", ".md", ".toml", ".yaml", ".yml", ".properties", ".html", ".js", ".css", ".sh", ".example", ""}
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in made and not name.endswith("_cache"))
        found += [Path(folder, name) for name in sorted(names) if Path(name).suffix in kinds]
    return tuple(found)
