"""Structured logs: one JSON object a line on standard output, whatever library speaks."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from souk.kit.context import current_request_id, current_trace_id


def _with_ids(_logger: Any, _name: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if request_id := current_request_id():
        line.setdefault("request_id", request_id)
    if trace_id := current_trace_id():
        line.setdefault("trace_id", trace_id)
    return line


SHARED: list[structlog.typing.Processor] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _with_ids,
    structlog.processors.format_exc_info,
]


def rendered(_logger: Any, _name: str, line: structlog.typing.EventDict) -> bytes:
    """The line as ASCII: beyond it are marks that some terminals and readers of logs take for orders and line ends."""
    with suppress(UnicodeEncodeError):  # half a character, as a path may have one
        encoded = msgspec.json.encode(line, enc_hook=repr)
        if encoded.isascii():
            return encoded + b"\n"
    return json.dumps(line, default=repr).encode() + b"\n"


class _Output:
    """Standard output, where a whole line goes out at once and nothing of it is left for later."""

    def msg(self, line: bytes) -> None:
        while line:
            line = line[os.write(1, line) :]

    debug = info = warning = error = critical = exception = msg


def configure_logging(*, debug: bool) -> None:
    """Send structlog and the standard library's loggers to standard output as JSON lines.

    Our own lines do not pass through the standard library, which costs several times what a line does.
    """
    level = logging.DEBUG if debug else logging.INFO
    structlog.configure(
        processors=[*SHARED, rendered],
        logger_factory=lambda *_: _Output(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # The request line of `souk.kit.request` says what these would repeat, with bodies and tokens left out.
    for name in (
        "django.request",
        "django.security",
        "django.server",
        "oauthlib",
        "oauth2_provider",
        "httpx",
        "httpcore",
    ):
        logging.getLogger(name).setLevel(logging.CRITICAL)
