"""The contract of the doors of this room: what each says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from souk.kit.described import Description
from souk.kit.parsing import Page
from souk.kit.problem import Forbidden
from souk.web.health import Health, LivenessOut
from souk.web.machines import MachineName, MachineOut, MachinesOut

MACHINES: Mapping[str, Description] = {
    "Machines.get": Description(
        name="list_machines",
        summary="List all state machines",
        tag="Machines",
        caller="anyone",
        query=Page,
        answer=MachinesOut,
    ),
    "OneMachine.get": Description(
        name="get_machine",
        summary="Show a state machine",
        tag="Machines",
        caller="anyone",
        path={"name": MachineName},
        answer=MachineOut,
        media=("text/vnd.mermaid", "image/svg+xml"),
        text="As JSON, or as the diagram that Accept asks for.",
    ),
}
RUNNING: Mapping[str, Description] = {
    "Live.get": Description(
        name="get_liveness",
        summary="Whether the process answers",
        tag="Running",
        caller="anyone",
        answer=LivenessOut,
    ),
    "Ready.get": Description(
        name="get_readiness",
        summary="How every part is",
        tag="Running",
        caller="anyone",
        answer=Health,
        failure=Health,
        failures={503: "The database is away."},
    ),
    "Metrics.get": Description(
        name="get_metrics",
        summary="Figures for Prometheus",
        tag="Running",
        caller="anyone",
        media=("text/plain",),
        refuses=(Forbidden,),
        text="From this machine itself, or with the metrics token as bearer.",
    ),
}

PAGES: Mapping[str, Description] = {
    "Contract.get": Description(
        name="get_contract", summary="This contract", tag="Running", caller="anyone", answer=dict[str, Any], etag=True
    ),
    **{
        f"{view}.get": Description(
            name=name, summary=summary, tag="Running", caller="anyone", media=("text/html",), refuses=refuses
        )
        for view, name, summary, refuses in (
            ("SwaggerPage", "get_swagger_page", "The contract in Swagger UI", ()),
            ("RedocPage", "get_redoc_page", "The contract in Redoc", ()),
        )
    },
}
DOORS = {**MACHINES, **RUNNING, **PAGES}
