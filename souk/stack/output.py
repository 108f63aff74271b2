"""What the processes say: to one bounded log file each, and to the terminal with a prefix."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

FILE_BYTES = 5_000_000
FILES_KEPT = 3
LINE_BYTES = 32_768
# Ours, Debezium's, Valkey's, PostgreSQL's.
ROUTINE = re.compile(r'\{.*"level": ?"info"|\[INFO\] |\d+:\S+ .* \* |\d+ .*\b(LOG|DETAIL|STATEMENT):  ')
_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95)


@dataclass(slots=True)
class LogFile:
    """A log that never takes more than `FILES_KEPT` times `FILE_BYTES`: NAME.log, NAME.log.1, NAME.log.2."""

    path: Path
    _file: TextIO | None = field(default=None, init=False)
    _size: int = field(default=0, init=False)

    def write(self, line: str) -> None:
        """Append one line with its moment (RFC 3339, UTC)."""
        text = f"{datetime.now(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z {line}\n"
        if self._file is None or self._size > FILE_BYTES:
            self._open()
        if self._file is not None:
            try:
                self._size += self._file.write(text)
                self._file.flush()
            except OSError:  # a full disk must not stop the supervisor
                self.close()

    def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError:
                return

    def _open(self) -> None:
        self.close()
        try:
            if self.path.exists() and self.path.stat().st_size > FILE_BYTES:
                for number in range(FILES_KEPT - 1, 0, -1):
                    older = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
                    if older.exists():
                        older.replace(self.path.with_name(f"{self.path.name}.{number}"))
            self._file = self.path.open("a", encoding="utf-8", errors="replace")
            self._size = self.path.stat().st_size
        except OSError:
            self._file = None


def is_routine(text: str) -> bool:
    """Whether a line is for the log file alone: what a part says of itself below a warning, one line per request."""
    return ROUTINE.match(text) is not None


class Output:
    """Every line goes to the log file of who said it, and to the terminal unless `quiet` or the line is routine."""

    def __init__(self, folder: Path, *, quiet: bool = False, terminal: TextIO | None = None) -> None:
        self._folder = folder
        self._quiet = quiet
        self._terminal = terminal or sys.stdout
        self._files: dict[str, LogFile] = {}
        self._tails: dict[str, list[str]] = {}

    def note(self, name: str, text: str) -> None:
        """One line for the log file alone."""
        self._files.setdefault(name, LogFile(self._folder / f"{name}.log")).write(text)

    def line(self, name: str, text: str) -> None:
        """One line that the service `name` said."""
        self.note(name, text)
        tail = self._tails.setdefault(name, [])
        tail.append(text)
        del tail[:-12]
        if not self._quiet and not is_routine(text):
            self._show(name, text)

    def tail(self, name: str) -> list[str]:
        """The last lines that `name` said in this run."""
        return list(self._tails.get(name, ()))

    def forget_tail(self, name: str) -> None:
        self._tails.pop(name, None)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _show(self, name: str, text: str) -> None:
        label = f"{name:<9}|"
        if self._terminal.isatty():
            colour = _COLOURS[sum(name.encode()) % len(_COLOURS)]
            label = f"\x1b[{colour}m{label}\x1b[0m"
        try:
            print(label, text, file=self._terminal, flush=True)
        except OSError:  # the terminal was closed; the log files go on
            self._quiet = True
