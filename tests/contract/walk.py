"""The walk: every case is sent, every answer judged, and what the request wrote is looked at."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.urls import get_resolver

from souk.settings import CHECKOUT
from tests.contract.corpus import Case, Door
from tests.contract.inside import Inside
from tests.contract.scene import Rows, Scene
from tests.contract.wire import Heard, Wire, request_bytes
from tests.routes import patterns

CONTRACT: dict[str, Any] = json.loads((CHECKOUT / "docs" / "openapi.json").read_text("utf-8"))
TAGS = [tag["name"] for tag in CONTRACT["tags"]]
# Tables in which a refusal may leave a row, and when: what was answered under an Idempotency-Key is kept, 409 too, so
# that asking again is answered alike.
KEPT_ANSWERS = "kit_idempotentanswer"
# What reading may write: events that wait for a position get one (the live process goes on doing so by itself).
NUMBERED = {"eventlog_event", "eventlog_audience", "eventlog_position"}
WRITTEN_BY_READS = {"/api/v1/events": NUMBERED, "/live": NUMBERED}
# The page where staff sign in begins a session for whoever has none: it keeps what protects the form from forgery. The
# other pages for staff keep there what the next one is to say, such as that something is not there.
SESSIONS = {"django_session"}
# What the server in front of the application refuses by itself, without a body: it is no HTTP.
BARE = {0, 400, 405, 414, 431, 501, 505}
# Whose page of one row is walked, and which row that is; what is left is walked with an id of another room.
ROWS = {
    "/accounts/user/": "buyer",
    "/catalog/product/": "product_id",
    "/orders/order/": "order_id",
    "/webhooks/webhook/": "webhook_id",
}
# Places of a request that can make it no HTTP at all.
MAYBE_NO_HTTP = {"wire", "method", "path", "header", "query"}
# Reads take no body, and nobody reads one: the server hangs up once it has answered, and where so much is still on its
# way the reset may overtake the answer. To take it in first would hold a thread for whoever announces a body only.
MUCH_UNREAD, READS = 100_000, {"GET", "HEAD"}
GROUPS = [*TAGS, "Pages", "Pages for staff"]


def walked(
    cases: Iterable[Case], *, scene: Scene, rows: Rows, door: Wire | Inside, away: frozenset[str] = frozenset()
) -> tuple[Counter[str], list[str]]:
    """How many requests were sent, by place and kind of answer, and what was wrong.

    Addresses in `away` need a part that is not there: 503 is their right answer.
    """
    counted: Counter[str] = Counter()
    wrong: list[str] = []
    rows.settle()  # what made the scene
    for case in cases:
        heard = door.exchange(sent(case, scene, host=door.name), case.method, alone=case.raw is not None)
        changed = rows.changed()
        counted[f"{case.place} {heard.status // 100}xx"] += 1
        if heard.status != 503 or case.door.path not in away:
            wrong += [f"{case.door.name}, {case.place}, {case.label}: {one}" for one in faults(case, heard, changed)]
        if changed:
            scene.after_a_change(case)
            rows.settle()
    return counted, wrong


def doors(scene: Scene, group: str) -> list[Door]:
    """The doors of a tag of the contract, or the pages that it leaves out."""
    if group in TAGS:
        return [
            scene.door(method.upper(), path, operation)
            for path, methods in CONTRACT["paths"].items()
            for method, operation in methods.items()
            if group in operation["tags"]
        ]
    if group == "Live streams":
        return [Door("GET", "/live"), Door("GET", "/health/live")]
    found = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", f"/{pattern}") for pattern in patterns(get_resolver())}
    pages = {path for path in found if not path.startswith("/api/v1/") and path not in CONTRACT["paths"]}
    plain = {re.sub(r"[\^$]|\(\?P<\w+>[^)]*\)|\\", "", path) for path in pages}
    for room, name in ROWS.items():
        plain = {path.replace("{object_id}", scene.ids[name]) if room in path else path for path in plain}
    plain = {path.replace("{object_id}", scene.ids["order_id"]) for path in plain}
    staff = {path for path in plain if path.startswith("/admin/")}
    return [Door("GET", path) for path in sorted(staff if group == "Pages for staff" else plain - staff)]


def sent(case: Case, scene: Scene, *, host: str) -> bytes:
    """The request as bytes."""
    address = scene.address(case)
    if case.raw is not None:
        method = case.method.encode()
        return case.raw.replace(b"METHOD", method).replace(b"ADDRESS", address.encode()).replace(b"HOST", host.encode())
    headers = list(case.headers)
    if case.token:
        headers.append(("Authorization", f"Bearer {scene.token(case)}"))
    if case.door.path.startswith("/admin/") and not any(name == "Cookie" for name, _ in headers):
        headers.append(("Cookie", scene.session))
    target = address if case.query is None else f"{address}?{case.query}"
    return request_bytes(case.method, target, headers, case.body, host=host)


def faults(case: Case, heard: Heard, changed: set[str]) -> list[str]:
    """What is wrong with an answer, and with what the request did."""
    found = []
    refused = heard.status >= 400 or heard.status == 0
    bare = refused and not heard.body and heard.status in BARE and case.place in MAYBE_NO_HTTP
    bare = bare or (heard.status == 0 and case.method in READS and len(case.body or b"") >= MUCH_UNREAD)
    if heard.status >= 500 and not bare:
        found.append(f"answered {heard.status}: {heard.body[:200]!r}")
    if heard.status == 0 and not bare:
        found.append(f"the server hung up, or gave no answer {heard.body!r}")
    code = heard.problem.get("code")
    if case.expected and not {heard.status, (heard.status, code)} & case.expected:
        found.append(f"answered {heard.status} {code}, not {set(case.expected)}")
    if case.door.operation is not None and not bare:
        found += _told_badly(case, heard)
    kept = (
        {KEPT_ANSWERS} if heard.status == 409 and any(name == "Idempotency-Key" for name, _ in case.headers) else set()
    )
    kept = kept | WRITTEN_BY_READS.get(case.door.path, SESSIONS if case.door.path.startswith("/admin/") else set())
    if (refused or case.method in ("GET", "HEAD", "OPTIONS")) and changed - kept:
        found.append(f"answered {heard.status} and changed {sorted(changed)}")
    return found


def _told_badly(case: Case, heard: Heard) -> list[str]:
    """What an answer of a door lacks."""
    found = []
    if heard.status >= 400 and case.method != "HEAD" and not case.door.path.startswith("/oauth/"):
        problem = heard.problem
        if not {"type", "title", "status", "code", "detail", "request_id"} <= problem.keys():
            found.append(f"answered {heard.status} without a whole problem: {heard.headers} {heard.body[:100]!r}")
        elif problem["status"] != heard.status:
            found.append("the problem is not that of its answer")
        # A replay repeats the bytes of the first answer, which name the first request.
        elif problem["request_id"] != heard.headers.get("x-request-id") and "idempotent-replayed" not in heard.headers:
            found.append("the problem names another request")
    if "x-request-id" not in heard.headers:
        found.append(f"answered {heard.status} without X-Request-ID")
    known = case.door.statuses | ({405} if case.method != case.door.method else set())
    known |= {400} if any(name == "Host" for name, _ in case.headers) else set()  # of every address alike
    if case.place in ("query", "header", "body") and heard.status not in known:
        found.append(f"answered {heard.status}, which the contract does not tell")
    return found
