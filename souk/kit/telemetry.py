"""OpenTelemetry: where the spans go when somebody collects them. Loaded only then (`settings.TRACES`).

The exporter, the sampler and the batches are OpenTelemetry's own and read its own variables (`OTEL_...`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace import Span as AnySpan

from souk.kit import measures, tracing
from souk.kit.context import TRACEPARENT
from souk.kit.tracing import Attributes, Kind

# Asked every few seconds by machines; nobody looks for their traces.
UNTRACED = ("/health/", "/metrics", "/static/")


class RequestSpan:
    """The outermost middleware: every request is a span, and all that is done for it a part of that span's trace."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        recorder = tracing.recorder()
        if recorder is None or request.path_info.startswith(UNTRACED):
            return self.get_response(request)
        method = request.method if request.method in measures.METHODS else "OTHER"
        sent = request.META.get("HTTP_TRACEPARENT", "")
        parent = sent if TRACEPARENT.fullmatch(sent) else None
        span = recorder.begin(method, kind="server", parent=parent)
        request.META["HTTP_TRACEPARENT"] = span.traceparent  # what the rest of the chain takes for the caller's
        response = self.get_response(request)
        route = request.resolver_match.route if request.resolver_match else "unmatched"
        span.rename(f"{method} {route}")
        about: Attributes = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": response.status_code,
            "souk.request_id": response.headers.get("X-Request-ID", ""),
        }
        span.end(error=str(response.status_code) if response.status_code >= 500 else None, about=about)
        return response


class Recording:
    """One span of OpenTelemetry's."""

    def __init__(self, span: AnySpan) -> None:
        self._span = span
        at = span.get_span_context()
        self.traceparent = f"00-{format_trace_id(at.trace_id)}-{format_span_id(at.span_id)}-{at.trace_flags:02x}"

    def rename(self, name: str) -> None:
        """Name it by what showed only meanwhile: the route."""
        self._span.update_name(name)

    def end(self, *, error: str | None = None, about: Attributes | None = None) -> None:
        self._span.set_attributes(about or {})
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


class Telemetry:
    """Gives the spans to OpenTelemetry."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("souk")

    def begin(
        self,
        name: str,
        *,
        kind: Kind,
        parent: str | None,
        since: datetime | None = None,
        about: Attributes | None = None,
    ) -> Recording:
        span = self._tracer.start_span(
            name,
            context=set_span_in_context(NonRecordingSpan(_context_of(parent))) if parent else None,
            kind=SpanKind[kind.upper()],
            attributes=about,
            start_time=None if since is None else int(since.timestamp() * 1e9),
        )
        return Recording(span)


def begin_telemetry() -> None:
    """Record from now on, and send what is recorded to where the environment says."""
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: f"souk-{settings.PROCESS}"}))
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    tracing.record_with(Telemetry(provider))


def _exporter() -> SpanExporter:
    if settings.TRACES == "console":
        return ConsoleSpanExporter(formatter=_one_line)
    return OTLPSpanExporter()


def _one_line(span: ReadableSpan) -> str:
    return f"{span.to_json(indent=None)}\n"


def _context_of(traceparent: str) -> SpanContext:
    _, trace, span, flags = traceparent.split("-")
    return SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
