"""One trace from the request through the operation, the event, the reaction and the webhook."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as configured
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from souk.eventlog.models import Event
from souk.kit import tracing
from souk.kit.entity import new_id
from souk.kit.telemetry import Telemetry
from souk.reactions.hearing import Subject, catch_up
from souk.reactions.orders import ORDERS
from souk.reactions.payments import PAYMENTS
from souk.reactions.together import hear_together
from tests.callers import Api, SignedIn
from tests.hearers import forget_samples, hear, let_tries_be_due, sample_consumer, tell
from tests.hooks import hook, send_all
from tests.receivers import running_receiver
from tests.spans import ORDER, Told, of_trace, outline

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = f"00-{TRACE}-{CALLER}-01"
PAID = {"payment": {"method": "card", "token": "tok_ok"}}


class Collected(InMemorySpanExporter):
    """What the exporter was given."""

    def told(self) -> list[Told]:
        return [
            Told(
                process="", name=span.name, trace=f"{span.context.trace_id:032x}", id=f"{span.context.span_id:016x}",
                parent=f"{span.parent.span_id:016x}" if span.parent else "",
                began=span.start_time or 0, ended=span.end_time or 0, failed=not span.status.is_ok,
            )
            for span in self.get_finished_spans()
        ]  # fmt: skip


@pytest.fixture
def collected(settings: Any) -> Iterator[Collected]:
    """Traces are on; everything goes to an exporter in memory."""
    settings.MIDDLEWARE = ["souk.kit.telemetry.RequestSpan", *configured.MIDDLEWARE]
    exporter, provider = Collected(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.record_with(Telemetry(provider))
    yield exporter
    tracing.record_with(None)


@pytest.mark.parametrize("together", [True, False])
def test_an_order_is_one_trace_from_the_request_to_the_webhook(
    settings: Any, seller: SignedIn, buyer: SignedIn, collected: Collected, together: bool
) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    bowl = seller.offer()
    with running_receiver() as receiver:
        hook(buyer, receiver, types=["order.accepted"])
        collected.clear()
        traced = {"traceparent": SENT}
        order = buyer.post("/orders", {"lines": [{"product_id": bowl["id"], "quantity": 1}]}, headers=traced).body
        assert buyer.post(f"/orders/{order['id']}/confirm", PAID, headers=traced).status == 200
        payment = Event.objects.get(type="payment.requested").subject_id
        for consumer in (PAYMENTS, ORDERS):
            subject = Subject("payment", payment)
            hear_together(consumer, [subject]) if together else catch_up(consumer, subject, again=False)
        send_all()
    assert buyer.get(f"/orders/{order['id']}").body["state"] == "ACCEPTED"
    spans = of_trace(collected.told(), TRACE)
    assert outline(spans, CALLER) == ORDER
    assert not [span for span in spans if span.failed]
    # The receiver is told the span of its own sending.
    ((headers, body),) = receiver.taken
    sending = next(span for span in spans if span.name == "send webhook")
    assert headers["traceparent"] == f"00-{TRACE}-{sending.id}-01"
    assert json.loads(body)["traceparent"].split("-")[1] == TRACE
    assert set(Event.objects.filter(subject_id__in=[order["id"], payment]).values_list("traceparent", flat=True)) <= {
        f"00-{TRACE}-{span.id}-01" for span in spans
    }


def test_without_a_callers_trace_every_request_begins_one(anonymous: Api, collected: Collected) -> None:
    anonymous.get("/tags")
    anonymous.get("/tags/nowhere")
    anonymous.get("/tags", headers={"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"})
    anonymous.get("//health/live")
    spans = collected.told()
    assert [(span.name, span.parent, span.failed) for span in spans] == [
        ("GET api/v1/tags", "", False),
        ("GET api/v1/tags/<str:name>", "", False),
        ("GET api/v1/tags", "", False),
    ]
    assert len({span.trace for span in spans}) == 3


def test_a_caller_who_does_not_record_is_not_recorded_and_the_receiver_not_told(
    settings: Any, seller: SignedIn, collected: Collected
) -> None:
    settings.WEBHOOK_ALLOW_LOOPBACK = True
    with running_receiver() as receiver:
        hook(seller, receiver, types=["product.created"])
        collected.clear()
        body = {"title": "Bowl", "price": {"amount": 1, "currency": "EUR"}, "stock": 1}
        seller.post("/products", body, headers={"traceparent": SENT[:-1] + "0"})
        send_all()
    assert collected.told() == []
    ((headers, _),) = receiver.taken
    assert "traceparent" not in headers
    assert str(Event.objects.get(type="product.created").traceparent).split("-")[1] == TRACE


def test_a_refusal_is_told_by_its_code_and_a_failed_hearing_by_its_error(
    seller: SignedIn, buyer: SignedIn, collected: Collected
) -> None:
    assert buyer.order((seller.offer(stock=1), 2)).code == "out_of_stock"
    refused = next(span for span in collected.get_finished_spans() if span.name == "place_order")
    assert refused.attributes == {"souk.refused": "out_of_stock"}
    assert not refused.events, "an exception's text may hold what somebody typed"

    consumer, subject = sample_consumer(), new_id()
    event = tell(subject, 1, fails=True)
    hear(consumer, subject)
    event.data = {}
    event.save(update_fields=["data"])
    let_tries_be_due()
    hear(consumer, subject, again=True)
    forget_samples()
    hearings = [span for span in collected.get_finished_spans() if span.name == "samples sample.told"]
    assert [(one.status.is_ok, one.status.description) for one in hearings] == [(False, "Unwilling"), (True, None)]
    assert {one.context.trace_id for one in hearings} == {int(TRACE, 16)}


def test_nothing_that_records_is_loaded_where_nobody_collects() -> None:
    asked = (
        "import souk.wsgi, souk.reactions.worker, souk.reactions.clock, sys;"
        "print([name for name in ('souk.kit.telemetry', 'opentelemetry.sdk.trace') if name in sys.modules])"
    )
    environment = {"SOUK_PROCESS": "api", "SOUK_SECRET_KEY": "x", "SOUK_HOME": "/nonexistent"}
    for more, loaded in (({}, False), ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True)):
        done = subprocess.run(
            [sys.executable, "-c", asked], env={**environment, **more}, capture_output=True, text=True, check=True
        )
        assert (done.stdout.strip() != "[]") is loaded, done.stdout


@pytest.mark.parametrize(
    ("given", "traces"),
    [
        ({}, "none"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318/v1/traces"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"}, "none"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "true"}, "none"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "Souk sends traces as http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "Must be one of: none, otlp, console"),
    ],
)
def test_the_usual_variables_switch_traces_on_and_wrong_ones_are_refused(given: dict[str, str], traces: str) -> None:
    asked = [sys.executable, "-c", "from souk import settings; print(settings.TRACES)"]
    done = subprocess.run(
        asked, env={"SOUK_HOME": "/nonexistent", **given}, capture_output=True, text=True, check=False
    )
    assert traces in done.stdout + done.stderr.splitlines()[-1] if done.returncode else done.stdout.strip() == traces
