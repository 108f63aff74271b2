"""Import of products: lines in, batches to the catalogue, refusals told by line number."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Annotated, Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from souk.accounts.operations.registering import profile_errors
from souk.catalog.operations.importing import Line, LineRefused, import_products
from souk.catalog.serializers import Description, OnHand, TagNames, Title
from souk.commands.linefile import BrokenFile, LineFile, LineTooLong
from souk.kit.money import Money
from souk.kit.parsing import Shape, decoded_json, shaped
from souk.kit.problem import Refused

BATCH = 1000
TOLD_AT_ONCE = 20  # refused lines
DEMO_CATALOGUE = Path(__file__).with_name("demo_catalogue.jsonl")
TOLD_REFUSALS = 100  # lines named one by one; beyond that they are only counted


class ImportLine(Shape, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One product of a seller. `external_id` is the seller's own name for it: the same one again changes it."""

    external_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    seller: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"\S")]
    title: Title
    description: Description = ""
    price: Money
    stock: OnHand
    tags: TagNames = []

    def __post_init__(self) -> None:
        for error in profile_errors(display_name=self.seller):
            raise ValueError(f"The name of the seller: {error['detail'].rstrip('.')}")


Mapped = Callable[[Any], Any]


@dataclass
class Summary:
    """What an import came to."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    users: int = 0
    tags: int = 0
    broken: str = ""
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        return self.created + self.changed + self.unchanged + self.refused

    @property
    def complete(self) -> bool:
        """Whether every row of the whole file is in the catalogue now."""
        return not self.refused and not self.broken


def import_file(
    path: Path, *, mapped: Mapped | None = None, batch: int = BATCH, console: Console, tell: Callable[[str], None]
) -> Summary:
    """Import a file, each batch in a transaction of its own, and go on after bad rows; `tell` hears of each of them."""
    run = _Run(tell)
    began = time.perf_counter()
    with LineFile(path) as file, _bar(file, console) as advance:
        try:
            batches = _batches(file, mapped, batch)
            # A pipe is not read ahead: it may keep its reader waiting when the import is to end.
            for good, bad in batches if file.size is None else _ahead(batches):
                for number, reason in bad:
                    run.refuse(number, reason)
                if good:
                    run.write(good)
                advance(run.summary)
        except BrokenFile as broken:
            run.summary.broken = f"the file is damaged or ends early ({broken}); what stood before it was imported"
        advance(run.summary)
    run.summary.seconds = time.perf_counter() - began
    return run.summary


def load_demo_catalogue() -> Summary:
    """Import the catalogue that comes with Souk; quick when it is there already."""

    def no_refusal(told: str) -> None:
        raise AssertionError(f"the demo catalogue has a bad line: {told}")

    return import_file(DEMO_CATALOGUE, console=Console(quiet=True), tell=no_refusal)


def shown(summary: Summary) -> Table:
    """The closing table."""
    table = Table(title="import", show_header=False, title_justify="left")
    for name in ("created", "changed", "unchanged", "refused"):
        table.add_row(name, f"{getattr(summary, name):,}")
    table.add_row("users made", f"{summary.users:,}")
    table.add_row("tags made", f"{summary.tags:,}")
    table.add_row("seconds", f"{summary.seconds:,.1f}")
    table.add_row("rows/s", f"{summary.rows / max(summary.seconds, 1e-9):,.0f}")
    return table


class _Run:
    """Counts, and tells refusals by line number."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.summary = Summary()
        self._tell = tell

    def refuse(self, number: int, reason: str) -> None:
        self.summary.refused += 1
        if self.summary.refused <= TOLD_REFUSALS:
            self._tell(f"line {number}: {reason}")
        elif self.summary.refused == TOLD_REFUSALS + 1:
            self._tell("... further refused lines are only counted")

    def write(self, numbered: list[tuple[int, Line]]) -> None:
        imported = import_products(lines=[line for _, line in numbered])
        self.summary.users += imported.users
        self.summary.tags += imported.tags
        for (number, _), outcome in zip(numbered, imported.outcomes, strict=True):
            if isinstance(outcome, LineRefused):
                self.refuse(number, outcome.reason)
            else:
                name = outcome.change.value
                setattr(self.summary, name, getattr(self.summary, name) + 1)


Numbered = list[tuple[int, Line]]
Reasons = list[tuple[int, str]]


def _ahead(batches: Iterator[tuple[Numbered, Reasons]]) -> Iterator[tuple[Numbered, Reasons]]:
    """The same batches; the next one is read while the database writes the last."""
    read: Queue[tuple[Numbered, Reasons] | BaseException | None] = Queue(1)

    def read_on() -> None:
        try:
            for batch in batches:
                read.put(batch)
            read.put(None)
        except BaseException as error:  # noqa: BLE001  # it is raised where the batches are taken
            read.put(error)

    threading.Thread(target=read_on, name="import reader", daemon=True).start()
    while (batch := read.get()) is not None:
        if isinstance(batch, BaseException):
            raise batch
        yield batch


def _batches(file: LineFile, mapped: Mapped | None, size: int) -> Iterator[tuple[Numbered, Reasons]]:
    """Good lines in batches, each with the refused lines among them and why.

    A batch ends early where a product comes again: it changes what its first line made. Bad lines alone make batches
    too. Raises BrokenFile, after what stood before.
    """
    good: Numbered = []
    bad: Reasons = []
    keys: set[tuple[str, str]] = set()
    broken: BrokenFile | None = None
    try:
        for number, raw in file.lines():
            try:
                line = _line(raw, mapped)
            except (Refused, LineTooLong, msgspec.ValidationError) as refused:
                bad.append((number, _reason(refused)))
                if len(bad) >= TOLD_AT_ONCE:
                    yield good, bad
                    good, bad, keys = [], [], set()
                continue
            if len(good) >= size or line.key in keys:
                yield good, bad
                good, bad, keys = [], [], set()
            good.append((number, line))
            keys.add(line.key)
    except BrokenFile as error:
        broken = error
    yield good, bad
    if broken:
        raise broken


def _line(raw: bytes | LineTooLong, mapped: Mapped | None) -> Line:
    if isinstance(raw, LineTooLong):
        raise raw
    decoded = decoded_json(raw)
    asked = shaped(ImportLine, mapped(decoded) if mapped else decoded)
    return Line(
        external_id=asked.external_id,
        seller=asked.seller.strip(),
        title=asked.title,
        description=asked.description,
        amount=asked.price.amount,
        currency=asked.price.currency,
        stock=asked.stock,
        tags=tuple(dict.fromkeys(asked.tags)),
    )


def _reason(refused: Exception) -> str:
    if isinstance(refused, Refused) and refused.errors:
        return "; ".join(f"{error['pointer']}: {error['detail']}" for error in refused.errors)
    return refused.detail if isinstance(refused, Refused) else str(refused)


class _bar:  # noqa: N801  # used as `with _bar(...) as advance`
    """A progress bar over the file's bytes, or over rows where its size is not known. Gives `advance(summary)`."""

    def __init__(self, file: LineFile, console: Console) -> None:
        amount = MofNCompleteColumn() if file.size is None else DownloadColumn()
        columns = (
            TextColumn("import"),
            BarColumn(),
            amount,
            TextColumn("{task.fields[rows]:,} rows"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console)
        self._task = self._progress.add_task("import", total=file.size, rows=0)
        self._file = file

    def __enter__(self) -> Callable[[Summary], None]:
        self._progress.start()
        return self._advance

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _advance(self, summary: Summary) -> None:
        done = summary.rows if self._file.size is None else self._file.position
        self._progress.update(self._task, completed=done, rows=summary.rows)
