"""JSON Lines from a file or from standard input, plain or gzip, one bounded line at a time."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, cast

LONGEST_LINE = 256 * 1024
GZIP_MAGIC = b"\x1f\x8b"


class BrokenFile(Exception):
    """The file ends in the middle or is damaged; what was read until here is good."""


class LineTooLong(Exception):
    """A line is longer than any request may be."""


class LineFile:
    """An open file of lines, which knows how far it has been read. Use it in a `with`. Raises OSError on opening.

    `size` is in bytes as stored, None where it cannot be known (standard input, a pipe); `position` counts the same.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size: int | None = None
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        if str(self.path) == "-":
            self._raw = cast("io.BufferedReader", sys.stdin.buffer)
        else:
            self._raw = self._closing.enter_context(self.path.open("rb"))
            self.size = self.path.stat().st_size if self._raw.seekable() else None
        packed = self._raw.peek(2)[:2] == GZIP_MAGIC
        self._lines = gzip.GzipFile(fileobj=self._raw) if packed else self._raw
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.close()

    @property
    def position(self) -> int:
        """How many of the stored bytes have been read."""
        return self._raw.tell() if self.size is not None else 0

    def lines(self) -> Iterator[tuple[int, bytes | LineTooLong]]:
        """(number from 1, line) for every line that is not blank. Raises BrokenFile."""
        number = 0
        while line := self._next():
            number += 1
            if len(line) > LONGEST_LINE:
                while not line.endswith(b"\n") and (line := self._next()):
                    continue
                yield number, LineTooLong(f"the line is longer than {LONGEST_LINE // 1024} kB")
            elif line.strip():
                yield number, line

    def _next(self) -> bytes:
        try:
            return self._lines.readline(LONGEST_LINE + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise BrokenFile(str(error)) from error
