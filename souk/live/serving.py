"""Serving the live streams from one process without a parent: whoever runs it starts it anew."""

from __future__ import annotations

import asyncio
import signal

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from souk.live.application import Application

MOST_CONNECTIONS = 10_000


async def serve(application: Application, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        runtime_threads=1,
        backlog=4096,
        backpressure=MOST_CONNECTIONS,
        log_level=LogLevels.error,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    await server.serve()
