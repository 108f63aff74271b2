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
    """Serve until SIGTERM or SIGINT. Raises django.db.Error without a database, OSError where the port is taken."""
    # Not by the server's own word of the start (lifespan): when that fails, the embedded server waits for ever.
    await application.open()
    server = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        runtime_threads=1,
        backlog=4096,
        backpressure=MOST_CONNECTIONS,
        log_level=LogLevels.error,
    )

    async def stop() -> None:
        await application.close()  # first: the server waits for its open connections
        server.stop()  # type: ignore[no-untyped-call]  # granian ships it so

    stopping: list[asyncio.Task[None]] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: stopping.append(asyncio.create_task(stop())))
    await server.serve()
