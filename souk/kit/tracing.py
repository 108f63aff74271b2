"""Spans: what a piece of work took and what it belonged to, for whoever collects traces.

Off, which is how Souk comes, a span is an empty block and nothing of OpenTelemetry is loaded; `souk.kit.telemetry`
switches it on. The trace itself travels without it: `souk.kit.context` has the present traceparent, the log of events
keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from functools import wraps
from typing import Literal, ParamSpec, Protocol, TypeVar

from souk.kit.context import current_traceparent, within
from souk.kit.problem import Refused

# Ids, routes, codes and numbers.
Attributes = Mapping[str, str | int]
Kind = Literal["internal", "server", "client", "producer", "consumer"]
Asked = ParamSpec("Asked")
Given = TypeVar("Given")
_NOTHING: AbstractContextManager[None] = nullcontext()


class Span(Protocol):
    """Work under way; its parts name `traceparent` as their parent. Attributes hold no secrets and no user text."""

    traceparent: str

    def rename(self, name: str) -> None:
        """Name it by what showed only meanwhile."""

    def end(self, *, error: str | None = None, about: Attributes | None = None) -> None:
        """It is over; with an error it failed."""


class Recorder(Protocol):
    """Whoever takes the spans."""

    def begin(
        self,
        name: str,
        *,
        kind: Kind,
        parent: str | None,
        since: datetime | None = None,
        about: Attributes | None = None,
    ) -> Span:
        """Begin a span (in the past, with `since`); without a parent it begins a trace."""


_recorder: Recorder | None = None


def record_with(recorder: Recorder | None) -> None:
    """Give all further spans to this recorder; None: to nobody."""
    global _recorder  # noqa: PLW0603  # one per process, and read on the hot path
    _recorder = recorder


def recorder() -> Recorder | None:
    """Whoever takes the spans; None where nobody does."""
    return _recorder


def span(name: str, *, kind: Kind = "internal") -> AbstractContextManager[None]:
    """The block is a part of the present trace; outside of any trace it is just a block."""
    parent = current_traceparent()
    if _recorder is None or parent is None:
        return _NOTHING
    return _recorded(_recorder.begin(name, kind=kind, parent=parent))


def traced(operation: Callable[Asked, Given]) -> Callable[Asked, Given]:
    """Each call of the operation is a part of the present trace, under its own name; outermost of its decorators."""

    @wraps(operation)
    def carried_out(*args: Asked.args, **kwargs: Asked.kwargs) -> Given:
        if _recorder is None:
            return operation(*args, **kwargs)
        with span(operation.__name__):
            return operation(*args, **kwargs)

    return carried_out


@contextmanager
def _recorded(began: Span) -> Iterator[None]:
    try:
        with within(began.traceparent):
            yield
    except Refused as refused:
        began.end(about={"souk.refused": refused.code})
        raise
    except BaseException as error:
        began.end(error=type(error).__name__)
        raise
    began.end()
