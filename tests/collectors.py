"""A collector of traces: a real server that takes OTLP over HTTP, as the exporter sends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.spans import Told


@dataclass
class Collector:
    """What was sent to `url`, by every process."""

    url: str = ""
    spans: list[Told] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces":
            sent: Any = ExportTraceServiceRequest.FromString(body)
            self.server.collector.spans += _told(sent)
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, collector: Collector) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.collector = collector


def _told(sent: Any) -> list[Told]:
    return [
        Told(
            process=process, name=span.name, trace=span.trace_id.hex(), id=span.span_id.hex(),
            parent=span.parent_span_id.hex(), began=span.start_time_unix_nano, ended=span.end_time_unix_nano,
            failed=span.status.code == Status.STATUS_CODE_ERROR,
        )
        for resource in sent.resource_spans
        for process in [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
        for scope in resource.scope_spans
        for span in scope.spans
    ]  # fmt: skip


@contextmanager
def running_collector() -> Iterator[Collector]:
    """A collector on a free port of this machine."""
    collector = Collector()
    server = _Server(collector)
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
