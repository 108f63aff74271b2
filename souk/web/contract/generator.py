"""The walk over the URL configuration that makes the contract, in drf-spectacular's machinery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.settings import patched_settings
from drf_spectacular.validation import validate_schema

from souk.kit.described import Description
from souk.web.contract.examples import Examples
from souk.web.contract.headers import ANSWER_HEADERS, PARAMETERS
from souk.web.contract.operations import Place, operation_of, shared_responses
from souk.web.contract.shapes import Schema, Shapes
from souk.web.contract.words import DESCRIPTION, PROBLEM, SECURITY, TAGS

EXAMPLES = settings.CHECKOUT / "docs" / "examples"
# Where the doors of a package are described, if not in its module `contract`.
ELSEWHERE = {"souk.web": "souk.web.contract.doors"}
METHODS = ("get", "post", "put", "patch", "delete")

CONFIGURATION = {
    "TITLE": "Souk",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "DESCRIPTION": DESCRIPTION,
    "TAGS": TAGS,
    "SERVERS": [{"url": "/", "description": "The server that serves this contract"}],
    "LICENSE": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
    "APPEND_COMPONENTS": {
        "securitySchemes": SECURITY,
        "headers": ANSWER_HEADERS,
        "parameters": PARAMETERS,
        "schemas": {"Problem": PROBLEM},
    },
    "POSTPROCESSING_HOOKS": [],  # it guesses names for enumerations, from serializers
}


class Undescribed(Exception):
    """A door says nothing of itself."""


class DescribedEndpoints(EndpointEnumerator):  # type: ignore[misc]  # the library's types are loose
    """Every address that is for programs: all below /api/v1, and what is described at the root."""

    def should_include_endpoint(self, path: str, callback: Any) -> bool:
        return path.startswith("/api/v1/") or any(description_of(handler) for _, handler in handlers_of(callback))

    def get_allowed_methods(self, callback: Any) -> list[str]:
        return [method for method, _ in described(callback)]


class Contract(SchemaGenerator):  # type: ignore[misc]  # the library's types are loose
    """drf-spectacular's generator, with our descriptions in place of its guesses."""

    endpoint_inspector_cls = DescribedEndpoints

    def __init__(self, *, examples: Path = EXAMPLES) -> None:
        super().__init__()
        self.examples = Examples(examples)

    def parse(self, input_request: Any, public: bool) -> Schema:
        places = list(self.places())
        shapes = Shapes(sent=_sent(places), told=_told(places))
        paths: Schema = {}
        for place in places:
            paths.setdefault(place.path, {})[place.method.lower()] = operation_of(place, shapes, self.examples)
        for name, schema in shapes.components.items():
            component = ResolvedComponent(name, ResolvedComponent.SCHEMA, object=name, schema=schema)
            self.registry.register_on_missing(component)
        for name, schema in shared_responses(self.examples).items():
            component = ResolvedComponent(name, ResolvedComponent.RESPONSE, object=name, schema=schema)
            self.registry.register_on_missing(component)
        return paths

    def places(self) -> Iterator[Place]:
        """Every described operation, in the order of the addresses."""
        self._initialise_endpoints()
        for path, _, method, callback in self.endpoints:
            for its, description in described(callback):
                if its == method:
                    yield Place(path=path, method=method, view=view_of(callback), description=description)


def view_of(callback: Any) -> type | None:
    """The class behind a callback of the URL configuration; None for a plain function."""
    found = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
    return found if isinstance(found, type) else None


def handlers_of(callback: Any) -> list[tuple[str | None, Any]]:
    """The functions behind a callback of the URL configuration with their methods; a plain function has none."""
    view = view_of(callback)
    if view is None:
        return [(None, callback)]
    return [(name, getattr(view, name)) for name in METHODS if hasattr(view, name)]


def described(callback: Any) -> list[tuple[str, Description]]:
    """The methods of a callback with their descriptions. Raises Undescribed for a door that says nothing."""
    found = []
    for method, handler in handlers_of(callback):
        description = description_of(handler)
        if description is None:
            raise Undescribed(f"{handler.__module__}.{handler.__qualname__} has no description in its contract.py")
        found.append(((method or description.method or "get").upper(), description))
    return found


def description_of(handler: Any) -> Description | None:
    """What a handler says of itself; None when it says nothing."""
    return doors_of(handler.__module__.rpartition(".")[0]).get(handler.__qualname__)


@cache
def doors_of(package: str) -> Mapping[str, Description]:
    """What the doors of a package say of themselves, by the names of the handlers."""
    name = ELSEWHERE.get(package, f"{package}.contract")
    if not package.startswith("souk.") or find_spec(name) is None:
        return {}
    doors: Mapping[str, Description] = import_module(name).DOORS
    return doors


def contract() -> Schema:
    """The whole contract. Raises what drf-spectacular's validation raises; a warning of the generator is an error."""
    with patched_settings(CONFIGURATION):
        made: Schema = Contract().get_schema(request=None, public=True)
    validate_schema(made)
    if GENERATOR_STATS:
        GENERATOR_STATS.emit_summary()
        raise ValueError("drf-spectacular warned while the contract was made (see above)")
    return made


def _sent(places: list[Place]) -> Iterator[Any]:
    for place in places:
        told = place.description
        yield from (shape for shape in (told.body, told.query, *told.path.values()) if shape is not None)


def _told(places: list[Place]) -> Iterator[Any]:
    for place in places:
        told = place.description
        # Forms are open too: RFC 6749 has unknown parameters ignored.
        yield from (shape for shape in (told.answer, told.failure, told.form) if shape is not None)
