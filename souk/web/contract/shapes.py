"""Shapes as JSON Schema: every Struct of the contract is one component."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

REF = "#/components/schemas/"
# Python's `$` allows a line break before the end, which JSON Schema's does not.
PYTHON_ONLY = "(?!\\n)"

Schema = dict[str, Any]


class Shapes:
    """The schemas of all shapes of the contract. Those that come in stay closed; to those that go out fields may come.

    `sent` are the shapes of requests, `told` those of answers: Structs, and lists or mappings of them.
    """

    def __init__(self, *, sent: Iterable[Any], told: Iterable[Any]) -> None:
        self._sent = list(dict.fromkeys(sent))
        self._told = [one for one in dict.fromkeys(told) if one not in self._sent]
        everything = [*self._sent, *self._told]
        found, components = msgspec.json.schema_components(everything, ref_template=REF + "{name}")
        self._schemas = dict(zip(everything, found, strict=True))
        twice = [name for name in components if "." in name]
        if twice:
            raise ValueError(f"two shapes have one name: {', '.join(sorted(twice))}")
        closed = reached([self._schemas[one] for one in self._sent], components)
        self._queries: set[str] = set()
        self._all = {
            public_name(name): _finished(schema, name, closed=name in closed) for name, schema in components.items()
        }

    def of(self, shape: Any) -> Schema:
        """The schema of one shape: a reference where it is a Struct."""
        return dict(_walked(self._schemas[shape]))

    def inner(self, shape: type[msgspec.Struct]) -> Schema:
        """The schema of a Struct itself: of a query, whose fields are parameters and which is no component."""
        name = public_name(shape.__name__)
        self._queries.add(name)
        return self._all[name]

    @property
    def components(self) -> dict[str, Schema]:
        """Every component by its name."""
        return {name: schema for name, schema in sorted(self._all.items()) if name not in self._queries}


def public_name(name: str) -> str:
    """What a shape is called in the contract: OrderOut is Order, PlaceOrderIn is PlaceOrderRequest."""
    if name.endswith("Out"):
        return name[: -len("Out")]
    return name[: -len("In")] + "Request" if name.endswith("In") else name


def reached(schemas: Iterable[Any], components: Mapping[str, Any]) -> set[str]:
    """The names of the components that these schemas lead to, directly and by way of others."""
    found: set[str] = set()
    waiting = [*schemas]
    while waiting:
        for name in re.findall(rf"{REF}([\w.]+)", str(waiting.pop())):
            if name not in found:
                found.add(name)
                waiting.append(components[name])
    return found


def without_null(schema: Schema) -> Schema:
    """The schema of a parameter that is left out where the Struct's field is None."""
    kept = {name: value for name, value in schema.items() if name != "default" or value is not None}
    if "anyOf" in kept:
        rest = [one for one in kept.pop("anyOf") if one != {"type": "null"}]
        kept = {**rest[0], **kept} if len(rest) == 1 else {**kept, "anyOf": rest}
    return kept


def _finished(schema: Schema, name: str, *, closed: bool) -> Schema:
    done = dict(_walked(schema))
    done["title"] = public_name(name)
    for field in done.get("properties", {}).values():
        if field.get("default", ...) is None:
            del field["default"]  # what is left out is null anyway, and generators ask for what has a default
    if not closed:
        done.pop("additionalProperties", None)
    return done


def _walked(value: Any) -> Any:
    """The schema with our names in its references, and without what is Python's own."""
    if isinstance(value, dict):
        walked = {key: _walked(inner) for key, inner in value.items()}
        if isinstance(walked.get("$ref"), str):
            walked["$ref"] = REF + public_name(walked["$ref"].removeprefix(REF))
        if isinstance(walked.get("pattern"), str):
            walked["pattern"] = walked["pattern"].replace(PYTHON_ONLY, "")
        if isinstance(walked.get("description"), str):
            walked["description"] = " ".join(walked["description"].split())
        more = walked.pop("x-told", {})
        return walked | more
    if isinstance(value, list | tuple):
        return [_walked(inner) for inner in value]
    return value
