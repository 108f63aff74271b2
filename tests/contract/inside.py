"""The application without a server in front of it: the same bytes, read as the server would read them.

Thousands of requests a second; what is no HTTP, and what a server makes of it, is for the wire alone.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from souk.wsgi import application
from tests.contract.wire import Heard


class Inside:
    """What `Wire` is to a server, to the application in this process."""

    name = "127.0.0.1"

    def exchange(self, sent: bytes, method: str, *, alone: bool = False) -> Heard:
        """Answer the request in these bytes."""
        head, _, body = sent.partition(b"\r\n\r\n")
        line, *fields = head.split(b"\r\n")
        verb, _, rest = line.partition(b" ")
        target, _, _ = rest.rpartition(b" ")
        environ = _environ(verb.decode("latin-1"), target, body)
        for name, _, value in (field.partition(b":") for field in fields):
            key = name.decode("latin-1").upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") and b"_" not in name else f"HTTP_{key}"
            text = value.strip(b" \t").decode("latin-1")
            environ[key] = f"{environ[key]},{text}" if key in environ else text
        told: list[Any] = []

        def begin(status: str, fields: list[tuple[str, str]], failed: Any = None, /) -> Callable[[bytes], object]:
            told.extend((status, fields))
            return told.append

        answer = application(environ, begin)
        try:
            content = b"".join(answer)
        finally:
            getattr(answer, "close", lambda: None)()
        headers = {name.lower(): value for name, value in told[1]}
        return Heard(int(told[0].split()[0]), headers, b"" if verb == b"HEAD" else content)

    def close(self) -> None:
        """Nothing is open."""


def _environ(method: str, target: bytes, body: bytes) -> dict[str, Any]:
    path, _, query = target.partition(b"?")
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
