"""Live streams and webhooks on a whole running Souk: what listeners hear while parts of it die and come back."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from itertools import islice
from typing import Any

import httpx
import psycopg
import pytest

from souk.eventlog.feed import cursor_of
from souk.stack.identity import read_stat
from tests.receivers import Receiver
from tests.stack.listeners import Caller, listening
from tests.stack.private import SoukStack, wait_for


def test_a_listener_hears_every_event_once_and_in_order_though_the_live_process_is_killed(
    souk_stack: SoukStack,
) -> None:
    seller = Caller.register(souk_stack)
    wanted = [f"Bowl {number}" for number in range(30)]
    with listening(seller) as ear:
        for title in wanted[:10]:
            seller.offer(title)
        pid = souk_stack.kill("live")
        for title in wanted[10:20]:
            seller.offer(title)
        souk_stack.wait_restarted("live", than=pid)
        for title in wanted[20:]:
            seller.offer(title)
        wait_for(lambda: len(ear.titles()) >= len(wanted), what="every event was heard")
        assert ear.titles() == wanted
        assert ear.connections >= 2
        assert ear.heard == seller.feed()[1:]


def test_a_listener_hears_everything_though_the_streams_are_killed(souk_stack: SoukStack) -> None:
    seller = Caller.register(souk_stack)
    wanted = [f"Lamp {number}" for number in range(9)]
    with listening(seller) as ear:
        for title in wanted[:3]:
            seller.offer(title)
        pid = souk_stack.kill("streams")
        for title in wanted[3:6]:
            seller.offer(title)
        wait_for(lambda: len(ear.titles()) >= 6, what="the events were heard without a wake-up")
        souk_stack.wait_restarted("streams", than=pid)
        for title in wanted[6:]:
            seller.offer(title)
        wait_for(lambda: len(ear.titles()) >= 9, what="the rest was heard")
        assert ear.titles() == wanted
        assert ear.connections == 1


def test_listeners_hear_what_is_theirs_and_nothing_of_others(souk_stack: SoukStack) -> None:
    seller, buyer, stranger = (Caller.register(souk_stack) for _ in range(3))
    bowl = seller.offer("Bowl")
    with listening(seller) as sells, listening(buyer) as buys, listening(stranger) as neither:
        order = buyer.post("/api/v1/orders", {"lines": [{"product_id": bowl, "quantity": 1}]})

        def sold() -> list[dict[str, Any]]:
            # The bowl itself may get its position only now, and so be heard too.
            return [event for event in sells.heard if event["type"] != "product.created"]

        wait_for(lambda: bool(sold()) and bool(buys.heard), what="buyer and seller heard of the order")
        assert buys.heard[0]["data"]["lines"] == order["lines"]
        assert sold()[0]["subject"] == {"type": "order", "id": order["id"]}
        stranger.offer("Theirs")
        wait_for(lambda: bool(neither.heard), what="the stranger heard of their own product")
        assert [event["type"] for event in neither.heard] == ["product.created"]


def test_who_connects_after_a_quiet_time_hears_what_is_to_come_and_nothing_of_that_time(souk_stack: SoukStack) -> None:
    seller = Caller.register(souk_stack)
    for before, during in [("Bowl", "Lamp"), ("Chair", "Table")]:
        seller.offer(before)  # nobody listens: the live process rests
        with httpx.stream("GET", seller.live, headers=seller.headers, timeout=30) as answer:
            seller.offer(during)
            told = next(line for line in answer.iter_lines() if line.startswith("data: "))
            assert json.loads(told.removeprefix("data: "))["data"]["title"] == during


def test_a_ticket_opens_one_connection_and_no_second_one(souk_stack: SoukStack) -> None:
    seller = Caller.register(souk_stack)
    ticket = seller.post("/api/v1/live/tickets")
    assert ticket["expires_in"] == 60
    address = f"{seller.live}?ticket={ticket['ticket']}"
    with httpx.stream("GET", address, timeout=30) as answer:
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")
        seller.offer("Bowl")
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("event: ")) == "event: product.created"
    refused = httpx.get(address)
    assert (refused.status_code, refused.json()["code"]) == (401, "not_authenticated")


def test_a_connection_ends_when_its_token_does(souk_stack: SoukStack) -> None:
    seller = Caller.register(souk_stack)
    with httpx.stream("GET", seller.live, headers=seller.headers, timeout=60) as answer:
        lines = answer.iter_lines()
        next(lines)
        form = {"token": seller.token, "client_id": "souk-web"}
        httpx.post(f"{souk_stack.base_url}/oauth/revoke", data=form).raise_for_status()
        # Ends by itself: with or without a proper end of the stream.
        with suppress(httpx.RemoteProtocolError):
            assert [line for line in lines if line.startswith("data")] == []
    assert httpx.get(seller.live, headers=seller.headers).status_code == 401


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/live", {}, 401, "not_authenticated"),
        ("/live", {"Authorization": "Bearer nobody"}, 401, "not_authenticated"),
        ("/live?ticket=nothing", {}, 401, "not_authenticated"),
        ("/live?ticket=a&ticket=b", {}, 400, "malformed_request"),
        ("/live?types=order.eaten", None, 400, "malformed_request"),
        ("/live?after=forged", None, 400, "malformed_request"),
        ("/live?cursor=x", None, 400, "malformed_request"),
        ("/elsewhere", None, 404, "not_found"),
        ("/live", {"Origin": "http://["}, 401, "not_authenticated"),
    ],
)
def test_a_live_request_that_cannot_be_answered_is_told_why(
    souk_stack: SoukStack, path: str, headers: dict[str, str] | None, status: int, code: str
) -> None:
    seller = Caller.register(souk_stack)
    address = seller.live.removesuffix("/live") + path
    refused = httpx.get(address, headers=seller.headers if headers is None else headers)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert refused.headers["Content-Type"] == "application/problem+json"
    other = httpx.post(seller.live, headers=seller.headers)
    assert (other.status_code, other.headers["Allow"]) == (405, "GET, OPTIONS")


def test_a_listener_who_comes_back_too_late_is_told_where_what_is_left_begins(souk_stack: SoukStack) -> None:
    _, seller = Caller.register(souk_stack), Caller.register(souk_stack)
    seller.offer("Bowl")
    wait_for(lambda: len(seller.feed()) == 2, what="the events have their positions")
    with psycopg.connect(souk_stack.environment["SOUK_DATABASE_URL"]) as at:
        at.execute("DELETE FROM eventlog_event WHERE position = (SELECT min(position) FROM eventlog_event)")
    late = httpx.get(seller.live, headers={**seller.headers, "Last-Event-ID": cursor_of(0)})
    assert (late.status_code, late.json()["code"]) == (410, "events_expired")
    oldest = late.json()["errors"][0]["oldest"]
    with httpx.stream("GET", seller.live, headers={**seller.headers, "Last-Event-ID": oldest}, timeout=30) as answer:
        told = [line for line in islice(answer.iter_lines(), 9) if line.startswith("event: ")]
    assert told == ["event: user.registered", "event: product.created"]


def counted(stack: SoukStack, name: str) -> float:
    """The sum of a counter over all of its labels that begin so, at the API."""
    lines = httpx.get(f"{stack.base_url}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_open_connections_can_be_counted_at_the_api(souk_stack: SoukStack) -> None:
    seller = Caller.register(souk_stack)
    opened, closed = (counted(souk_stack, f"souk_live_{name}_total") for name in ("opened", "closed"))
    with listening(seller):
        assert counted(souk_stack, "souk_live_opened_total") >= opened + 1
    wait_for(lambda: counted(souk_stack, "souk_live_closed_total") > closed, what="it is counted as closed")


MANY_AND_LARGE = """
INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)
SELECT 'trial.made', 'trial', uuidv7(), 1, jsonb_build_object('pad', repeat('x', 10000)), 'system', %s::uuid[]
  FROM generate_series(1, 5000)
"""


BACKLOG = """
INSERT INTO eventlog_event (type, subject_type, subject_id, sequence, data, actor, audience)
SELECT 'trial.made', 'trial', uuidv7(), number, '{}', 'system', %s::uuid[] FROM generate_series(1, 250) AS number
"""


def test_whoever_resumes_far_behind_hears_every_page_at_once(souk_stack: SoukStack) -> None:
    seller = Caller.register(souk_stack)
    me = httpx.get(f"{souk_stack.base_url}/api/v1/me", headers=seller.headers).json()["id"]
    wait_for(lambda: len(seller.feed()) == 1, what="the first event has its position")
    after = httpx.get(f"{souk_stack.base_url}/api/v1/events", headers=seller.headers).json()["next"]
    try:
        with listening(seller) as ear:
            with psycopg.connect(souk_stack.environment["SOUK_DATABASE_URL"]) as at:
                at.execute(BACKLOG, [[me]])
            wait_for(lambda: len(ear.heard) == 250, what="the live process has woken everybody for all of them")
        # Shorter than the heartbeat: nothing else wakes this listener.
        with httpx.stream("GET", f"{seller.live}?after={after}", headers=seller.headers, timeout=10) as answer:
            lines = answer.iter_lines()
            # Whoever is cut off behind this line, before the page that follows, comes back to the same place.
            assert next(line for line in lines if line.startswith("id: ")) == f"id: {after}"
            events = (line for line in lines if line.startswith("event: "))
            assert list(islice(events, 250)) == ["event: trial.made"] * 250
    finally:
        with psycopg.connect(souk_stack.environment["SOUK_DATABASE_URL"]) as at:
            at.execute("DELETE FROM eventlog_event WHERE subject_type = 'trial'")


def test_a_listener_who_takes_nothing_is_cut_off_and_nothing_is_kept_for_them(souk_stack: SoukStack) -> None:
    seller = Caller.register(souk_stack)
    me = httpx.get(f"{souk_stack.base_url}/api/v1/me", headers=seller.headers).json()["id"]
    wait_for(lambda: len(seller.feed()) == 1, what="the first event has its position")
    after = httpx.get(f"{souk_stack.base_url}/api/v1/events", headers=seller.headers).json()["next"]
    with psycopg.connect(souk_stack.environment["SOUK_DATABASE_URL"]) as at:
        at.execute(MANY_AND_LARGE, [[me]])
    try:
        wait_for(lambda: len(seller.feed()) == 100, what="the events have their positions")
        before = read_stat(int(souk_stack.service("live")["pid"]))
        slow = counted(souk_stack, 'souk_live_closed_total{reason="slow"}')
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", int(souk_stack.environment["SOUK_LIVE_PORT"])))
            head = (
                f"GET /live?after={after} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {seller.token}\r\n\r\n"
            )
            deaf.sendall(head.encode())
            wait_for(lambda: counted(souk_stack, 'souk_live_closed_total{reason="slow"}') > slow, what="it is cut off")
        now = read_stat(int(souk_stack.service("live")["pid"]))
        assert before is not None
        assert now is not None
        # 50 MB were waiting for it.
        assert now.rss_bytes - before.rss_bytes < 20 * 2**20
    finally:
        with psycopg.connect(souk_stack.environment["SOUK_DATABASE_URL"]) as at:
            at.execute("DELETE FROM eventlog_event WHERE subject_type = 'trial'")


def test_a_user_may_not_hold_ever_more_connections(souk_stack: SoukStack) -> None:
    seller = Caller.register(souk_stack)
    with httpx.Client(timeout=30) as client:
        requests = [client.build_request("GET", seller.live, headers=seller.headers) for _ in range(21)]
        answers = [client.send(request, stream=True) for request in requests]
        assert [answer.status_code for answer in answers] == [200] * 20 + [429]
        assert answers[-1].headers["Retry-After"] == "10"
        for answer in answers:
            answer.close()


def test_a_webhook_is_received_and_verified_across_a_restart_of_everything(
    tmp_path_factory: pytest.TempPathFactory, receiver: Receiver
) -> None:
    extra = {"SOUK_RATE_LIMITS": "off", "SOUK_WEBHOOK_ALLOW_LOOPBACK": "1"}
    stack = SoukStack(tmp_path_factory.mktemp("hooked"), extra=extra)
    try:
        stack.up()
        seller = Caller.register(stack)
        webhook = seller.post("/api/v1/webhooks", {"url": receiver.url, "types": ["product.created"]})
        seller.offer("Before")
        wait_for(lambda: len(receiver.taken) == 1, what="the first event was received")
        receiver.answers = [503]
        seller.offer("While it fails")
        wait_for(lambda: len(receiver.taken) == 2, what="the second event was refused")
        stack.down()
        stack.up()
        seller.offer("After")
        wait_for(lambda: len(receiver.taken) == 4, what="the rest was received", seconds=90)
    finally:
        stack.down()
    told = receiver.verified(webhook["secret"])
    titles = [event["data"]["title"] for event in told]
    assert titles[:2] == ["Before", "While it fails"]
    assert sorted(titles[2:]) == ["After", "While it fails"]
    assert len({event["id"] for event in told}) == 3
