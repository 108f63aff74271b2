"""What every kind of thing may do, as callers see it."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import pytest

from souk.kit.cursor import encode_cursor
from souk.web.states import MACHINES
from tests.callers import Answer, Api

pytestmark = pytest.mark.usefixtures("clean_database")
SVG = "{http://www.w3.org/2000/svg}"


def test_the_order_machine_is_told_whole_with_who_may_do_what_and_when_the_clock_does_it() -> None:
    answer = Api().get("/machines/order")
    assert answer.status == 200
    assert answer.body == {
        "name": "order",
        "states": [
            {"name": "PENDING_CONFIRMATION", "initial": True, "final": False},
            {"name": "CONFIRMED", "initial": False, "final": False},
            {"name": "ACCEPTED", "initial": False, "final": True},
            {"name": "NOT_CONFIRMED", "initial": False, "final": True},
            {"name": "CANCELLED", "initial": False, "final": True},
        ],
        "transitions": [
            move("confirm", "PENDING_CONFIRMATION", "CONFIRMED", "buyer"),
            move("cancel", "PENDING_CONFIRMATION", "CANCELLED", "buyer", "staff"),
            {**move("expire", "PENDING_CONFIRMATION", "NOT_CONFIRMED", "system"), "timeout_seconds": 300},
            move("accept", "CONFIRMED", "ACCEPTED", "system"),
            move("take_back", "CONFIRMED", "PENDING_CONFIRMATION", "system"),
            move("decline", "CONFIRMED", "NOT_CONFIRMED", "system"),
        ],
    }


def move(event: str, source: str, target: str, *actors: str) -> dict[str, object]:
    return {"event": event, "from": source, "to": target, "actors": list(actors), "timeout_seconds": None}


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("image/svg+xml", "image/svg+xml"),
        ("image/svg+xml;q=0.5, application/json", "application/json"),
        ("application/json;q=0.2, image/*;q=0.3", "image/svg+xml"),
        ("*/*", "application/json"),
        ("*/*, application/json;q=0", "text/vnd.mermaid"),
        ("text/vnd.mermaid, image/svg+xml", "text/vnd.mermaid"),
        ("text/html, */*;q=0.1", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("", "application/json"),
        ("application/json;q=x", "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("a" * 20_000, None),
    ],
)
def test_the_caller_gets_what_it_would_rather_have(accept: str, media: str | None) -> None:
    answer = Api().send("GET", "/machines/bag", headers={"Accept": accept})
    told = answer.headers["Content-Type"].partition(";")[0]
    assert (answer.status, told) == ((200, media) if media else (406, "application/problem+json"))


def test_a_bag_is_given_up_after_ninety_days() -> None:
    assert Api().get("/machines/bag").body["transitions"] == [
        move("order", "OPEN", "ORDERED", "buyer"),
        {**move("abandon", "OPEN", "ABANDONED", "system"), "timeout_seconds": 90 * 24 * 3600},
    ]


def test_the_list_has_the_four_machines_as_each_is_told_alone() -> None:
    answer = Api().get("/machines")
    assert [machine["name"] for machine in answer.body["results"]] == ["product", "bag", "order", "payment"]
    assert answer.body["next"] is None
    assert answer.body["results"] == [Api().get(f"/machines/{name}").body for name in MACHINES]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_the_list_is_paged_as_every_other_one(limit: int) -> None:
    names, answer = [], Api().get("/machines", limit=limit)
    while True:
        assert len(answer.body["results"]) <= limit
        names += [machine["name"] for machine in answer.body["results"]]
        if answer.body["next"] is None:
            break
        assert answer.body["next"] in answer.headers["Link"]
        answer = Api().get("/machines", limit=limit, cursor=answer.body["next"])
    assert names == list(MACHINES)
    for wrong in ({"limit": 0}, {"limit": 101}, {"cursor": "x"}, {"cursor": encode_cursor("machines", "none")}):
        assert Api().get("/machines", **wrong).code == "malformed_request", wrong


def test_every_event_that_the_clock_fires_has_its_time_and_no_other_event_has() -> None:
    timed = {
        (machine["name"], one["event"])
        for machine in Api().get("/machines").body["results"]
        for one in machine["transitions"]
        if one["timeout_seconds"] is not None
    }
    assert timed == {(name, event) for name, machine in MACHINES.items() for event in machine.timeouts}
    assert timed == {("bag", "abandon"), ("order", "expire")}


def accepting(media: str, name: str) -> Answer:
    return Api().get(f"/machines/{name}", headers={"Accept": media})


@pytest.mark.parametrize("name", MACHINES)
def test_mermaid_is_the_diagram_of_the_class(name: str) -> None:
    answer = accepting("text/vnd.mermaid", name)
    assert answer.headers["Content-Type"] == "text/vnd.mermaid; charset=utf-8"
    assert answer.headers["Vary"] == "Accept, Authorization"
    assert answer.body.startswith("stateDiagram-v2\n")
    assert answer.body == f"{MACHINES[name]:mermaid}\n"


@pytest.mark.parametrize("name", MACHINES)
def test_the_picture_shows_every_state_and_every_transition_of_the_machine(name: str) -> None:
    answer = accepting("image/svg+xml", name)
    assert answer.headers["Content-Type"] == "image/svg+xml"
    root = Xml.fromstring(answer.body)  # noqa: S314  # our own picture
    told = Api().get(f"/machines/{name}").body
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert {state["name"] for state in told["states"]} <= set(texts)
    arrows = [path for path in root.iter(f"{SVG}path") if path.get("class") == "edge"]
    pairs: dict[tuple[str, str], list[str]] = {}
    for one in told["transitions"]:
        pairs.setdefault((one["from"], one["to"]), []).append(one["event"])
    assert len(arrows) == len(pairs)
    labels = sorted(text for text in texts if text not in {state["name"] for state in told["states"]})
    assert labels == sorted(", ".join(events) for events in pairs.values())


@pytest.mark.parametrize("name", MACHINES)
def test_no_two_states_of_a_picture_lie_on_each_other_or_beyond_its_edge(name: str) -> None:
    root = Xml.fromstring(accepting("image/svg+xml", name).body)  # noqa: S314  # our own picture
    width, height = int(root.get("width") or 0), int(root.get("height") or 0)
    boxes = [
        (int(rect.get("x") or 0), int(rect.get("y") or 0), int(rect.get("width") or 0), int(rect.get("height") or 0))
        for rect in root.iter(f"{SVG}rect")
        if rect.get("rx") == "10"
    ]
    assert len(boxes) == len(Api().get(f"/machines/{name}").body["states"])
    assert all(x > 0 and y > 0 and x + w < width and y + h < height for x, y, w, h in boxes)
    assert [
        (one, other)
        for place, one in enumerate(boxes)
        for other in boxes[:place]
        if abs(one[0] - other[0]) < one[2] and abs(one[1] - other[1]) < one[3]
    ] == []


def test_an_unknown_machine_and_an_unknown_kind_of_picture_are_refused() -> None:
    assert (Api().get("/machines/wheel").status, Api().get("/machines/wheel").code) == (404, "not_found")
    refused = accepting("image/png", "order")
    assert (refused.status, refused.code) == (406, "not_acceptable")
    assert accepting("*/*", "order").headers["Content-Type"] == "application/json"
    as_a_browsers_picture = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
    assert accepting(as_a_browsers_picture, "order").headers["Content-Type"] == "image/svg+xml"
