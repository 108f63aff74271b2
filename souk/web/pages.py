"""Pages for people who write programs: the contract in two readers, every problem explained, the machines, the guide.

All of it comes from this server, with scripts and styles in files: the policy of these pages allows nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drf_spectacular_sidecar
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template import Context, Engine
from markdown_it import MarkdownIt
from rest_framework.request import Request

from souk.kit.door import Door, PlainDoor
from souk.kit.problem import NotFound, Refused
from souk.web.contract.examples import Examples
from souk.web.files import Folder
from souk.web.states import MACHINES, moves_of

HERE = Path(__file__).parent
# In a checkout the pages' sources are in docs/; a wheel brings what is needed of them along.
DOCS = settings.CHECKOUT / "docs" if (settings.CHECKOUT / "docs").is_dir() else HERE / "docs"
SIDECAR = Path(drf_spectacular_sidecar.__file__).parent / "static" / "drf_spectacular_sidecar"

LOCKED = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PLAIN = f"default-src 'none'; style-src 'self'; img-src 'self' data:; {LOCKED}"
# The readers of the contract set styles from their scripts, and ask this server for the contract and for what is tried.
READERS = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    f"connect-src 'self'; worker-src 'self' blob:; {LOCKED}"
)
# The guide's generator writes one script of data and styles of its own into every page.
GUIDE = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    f"connect-src 'self'; worker-src 'self' blob:; {LOCKED}"
)

engine = Engine(dirs=[str(HERE / "templates")], autoescape=True)
markdown = MarkdownIt("commonmark", {"html": False})
contract_file = Folder(DOCS, seconds=5)
own = Folder(HERE / "reading")
swagger = Folder(SIDECAR / "swagger-ui-dist")
redoc = Folder(SIDECAR / "redoc" / "bundles")
guide = Folder(HERE / "guide", seconds=60, policy=GUIDE)
examples = Examples(DOCS / "examples")


class Contract(Door):
    """`GET /api/v1/openapi.json`."""

    def get(self, request: Request) -> HttpResponse:
        return contract_file.answer(request._request, "openapi.json")


class SwaggerPage(Door):
    """`GET /api/v1/docs`: the contract in Swagger UI."""

    media = ("text/html",)
    queried = True  # as a link to a page may say where it stood; nothing is read of it

    def get(self, request: Request) -> HttpResponse:
        return page("swagger.html", policy=READERS)


class RedocPage(Door):
    """`GET /api/v1/redoc`: the contract in Redoc."""

    media = ("text/html",)
    queried = True  # as a link to a page may say where it stood; nothing is read of it

    def get(self, request: Request) -> HttpResponse:
        return page("redoc.html", policy=READERS)


class Problems(PlainDoor):
    """`GET /problems`: every problem there is."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return page("problems.html", problems=sorted(problems().values(), key=lambda one: (one.status, one.code)))


class ProblemPage(PlainDoor):
    """`GET /problems/{code}`: what it means, an example, what to do."""

    def get(self, request: HttpRequest, code: str) -> HttpResponse:
        refused = problems().get(code)
        if refused is None:
            raise NotFound
        return page(
            "problem.html",
            problem=refused,
            meaning=markdown.render(refused.__doc__ or ""),
            advice=markdown.render(refused.advice),
            example=_shown(examples.problem(code)),
        )


class MachinesPage(PlainDoor):
    """`GET /machines`: the machines with their diagrams."""

    def get(self, request: HttpRequest) -> HttpResponse:
        shown = [
            {"name": name, "text": (machine.__doc__ or "").strip(), "moves": moves_of(machine)}
            for name, machine in MACHINES.items()
        ]
        return page("machines.html", machines=shown)


class Guide(PlainDoor):
    """`GET /guide/...`: the static site that `make guide` builds."""

    def get(self, request: HttpRequest, name: str = "") -> HttpResponse:
        if not name and not request.path.endswith("/"):
            return HttpResponseRedirect("/guide/")
        return guide.answer(request, f"{name}index.html" if name.endswith("/") or not name else name)


class File(PlainDoor):
    """`GET /reading/...`: styles and scripts of these pages, and of the libraries in them."""

    folders = {"pages": own, "swagger": swagger, "redoc": redoc}

    def get(self, request: HttpRequest, folder: str, name: str) -> HttpResponse:
        if folder not in self.folders:
            raise NotFound
        return self.folders[folder].answer(request, name)


def page(template: str, *, policy: str = PLAIN, **values: Any) -> HttpResponse:
    """A page made from one of our templates."""
    response = HttpResponse(
        engine.get_template(f"reading/{template}").render(Context(values)), content_type="text/html; charset=utf-8"
    )
    response["Content-Security-Policy"] = policy
    response["Cache-Control"] = "public, max-age=5"
    return response


def problems() -> dict[str, type[Refused]]:
    """Every refusal that has a code and a page of its own."""
    return {refused.code: refused for refused in _refusals(Refused) if {"code", "advice"} <= vars(refused).keys()}


def _refusals(above: type[Refused]) -> Iterator[type[Refused]]:
    for refused in above.__subclasses__():
        yield refused
        yield from _refusals(refused)


def _shown(exchange: dict[str, Any] | None) -> dict[str, Any] | None:
    if exchange is None:
        return None
    asked, answered = exchange["request"], exchange["answer"]
    return {
        "request": f"{asked['method']} {asked['path']}",
        "body": _pretty(asked.get("body")),
        "status": answered["status"],
        "answer": _pretty(answered["body"]),
    }


def _pretty(value: Any) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
