"""Reading the log files of the stack: the last lines of several in the order of time, and what comes after."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO


def log_files(folder: Path, service: str) -> dict[str, Path]:
    """The log file of each process, or of `service` alone."""
    files = {path.stem: path for path in sorted(folder.glob("*.log")) if path.stem != "up"}
    return {service: files[service]} if service in files else ({} if service else files)


def last_lines(files: dict[str, Path], count: int) -> list[str]:
    """The last `count` lines of all files together, oldest first. Every line begins with its moment."""
    tails = [[(line, name) for line in tail(path, count)] for name, path in files.items()]
    merged = deque(heapq.merge(*tails), maxlen=count)
    return [shown(name, line, alone=len(files) == 1) for line, name in merged]


def tail(path: Path, count: int) -> list[str]:
    """The last lines of a log file and the one before it."""
    lines: deque[str] = deque(maxlen=count)
    for part in (path.with_name(f"{path.name}.1"), path):
        if part.exists():
            with part.open(encoding="utf-8", errors="replace") as file:
                lines.extend(line.rstrip("\n") for line in file)
    return list(lines)


def shown(name: str, line: str, *, alone: bool) -> str:
    """A line as it is printed: with the name of its process where there are several."""
    moment, _, text = line.partition(" ")
    return line if alone else f"{moment} {name:<9}| {text}"


def follow(folder: Path, service: str, *, every: float = 0.3) -> Iterator[str]:
    """Every line written from now on, for ever. Goes over to the new file when a log is rotated."""
    opened: dict[str, tuple[TextIO, int]] = {}
    first = True
    while True:
        for name, path in log_files(folder, service).items():
            number = path.stat().st_ino
            if name not in opened or opened[name][1] != number:
                file: TextIO = path.open(encoding="utf-8", errors="replace")
                if first:
                    file.seek(0, 2)
                if name in opened:
                    opened[name][0].close()
                opened[name] = (file, number)
        first = False
        for name, (file, _) in opened.items():
            for line in islice(file, 1000):
                yield shown(name, line.rstrip("\n"), alone=bool(service))
        time.sleep(every)
