"""Structured logs: one JSON object a line on standard output, whatever library speaks."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from souk.kit.context import current_request_id


def _with_request_id(_logger: Any, _name: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if request_id := current_request_id():
        line.setdefault("request_id", request_id)
    return line


SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _with_request_id,
]


def configure_logging(*, debug: bool) -> None:
    """Send structlog and the standard library's loggers to standard output as JSON lines."""
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
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
