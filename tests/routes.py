"""Every address below /api/v1, as the URL configuration has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from django.urls import URLPattern, URLResolver, get_resolver

PREFIX = "api/v1/"


def routes() -> list[str]:
    """The patterns, such as `/orders/<uuid:order_id>`."""
    return sorted({f"/{route.removeprefix(PREFIX)}" for route in patterns(get_resolver()) if route.startswith(PREFIX)})


def address(route: str, **known: Any) -> str:
    """The route with these ids, and with ids and names of nothing where none is given."""

    def filled(found: re.Match[str]) -> str:
        return str(known.get(found["name"], uuid4() if found["kind"] == "uuid" else "nothing"))

    return re.sub(r"<((?P<kind>\w+):)?(?P<name>\w+)>", filled, route)


def patterns(resolver: URLResolver, before: str = "") -> Iterator[str]:
    """Every pattern below this resolver, from the root."""
    for one in resolver.url_patterns:
        if isinstance(one, URLPattern):
            yield before + str(one.pattern)
        else:
            yield from patterns(one, before + str(one.pattern))
