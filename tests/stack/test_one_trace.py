"""One order of a whole running Souk as one trace, as a collector of OTLP is told it by four processes."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from tests.collectors import running_collector
from tests.receivers import running_receiver
from tests.spans import ORDER, of_trace, outline, printed
from tests.stack.listeners import Caller
from tests.stack.private import SoukStack, wait_for

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PAID = {"payment": {"method": "card", "token": "tok_ok"}}


def test_one_order_is_one_trace_over_all_processes_and_one_id_in_all_logs(
    own_stack: SoukStack, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_collector() as collector, running_receiver() as receiver:
        more = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        own_stack.extra = {**own_stack.extra, "SOUK_WEBHOOK_ALLOW_LOOPBACK": "1", **more}
        own_stack.up()
        seller, buyer = Caller.register(own_stack), Caller.register(own_stack)
        mug = seller.offer("Mug")
        buyer.post("/api/v1/webhooks", {"url": receiver.url, "types": ["order.accepted"]})
        with httpx.Client(base_url=own_stack.base_url, headers=buyer.headers, timeout=60) as client:
            client.headers["traceparent"] = f"00-{TRACE}-{CALLER}-01"
            order = client.post("/api/v1/orders", json={"lines": [{"product_id": mug, "quantity": 1}]}).json()["id"]
            assert client.post(f"/api/v1/orders/{order}/confirm", json=PAID).status_code == 200
        wait_for(lambda: len(receiver.taken) == 1, what="the webhook was sent")
        wait_for(
            lambda: any(span.name == "send webhook" and span.trace == TRACE for span in collector.spans),
            what="the collector is told of it",
        )
        logs = {path.name: path.read_text() for path in (own_stack.home / "log").iterdir()}
    spans = of_trace(collector.spans, TRACE)
    with capsys.disabled():
        print("\n" + printed(spans, CALLER))  # noqa: T201  # docs/watching.md shows it
    assert outline(spans, CALLER) == ORDER
    assert {span.name: span.process for span in spans}.items() >= {
        "place_order": "souk-api", "accept_orders": "souk-worker", "send webhook": "souk-clock"
    }.items()  # fmt: skip
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", receiver.taken[0][0]["traceparent"])
    lines = [json.loads(line[line.index("{") :]) for line in logs["api.log"].splitlines() if TRACE in line]
    assert [(line["route"], line["status"], bool(line["request_id"])) for line in lines] == [
        ("api/v1/orders", 201, True),
        ("api/v1/orders/<uuid:order_id>/confirm", 200, True),
    ]
