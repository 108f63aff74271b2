"""What schemathesis is told of the world behind the contract: which ids there are, which values go together.

Loaded in schemathesis's own process (SCHEMATHESIS_HOOKS). The seeded world comes as JSON in SEEDED; how many requests
were sent, by phase and by the first digit of the answer's status, is written to the file COUNTED.
"""

from __future__ import annotations

import ast
import atexit
import json
import os
import re
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import schemathesis
from hypothesis import strategies as st

SEEDED: dict[str, Any] = json.loads(os.environ.get("SEEDED", "{}"))
SENT: Counter[str] = Counter()
UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")

PARSING = threading.RLock()
parse_source = ast.parse


def parse_alone(*arguments: Any, **named: Any) -> Any:
    """`ast.parse`, by one thread at a time.

    CPython 3.11 counts how deep a syntax tree is for all threads together (its issue 106905): where both workers
    describe a lambda at once, one of them can fail with "AST constructor recursion depth mismatch".
    """
    with PARSING:
        return parse_source(*arguments, **named)


ast.parse = parse_alone

schemathesis.openapi.format("password", st.sampled_from(["walnut-and-oak", "correct horse battery", "Tr0ub4dor&3 x"]))
schemathesis.openapi.format("tag-name", st.sampled_from(SEEDED.get("tags") or ["nothing"]))
schemathesis.openapi.format("cursor", st.sampled_from(SEEDED.get("cursors") or ["nothing"]))


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Ids of things that are there, three times in four; what is no id stays what it is."""
    for name, known in SEEDED.get("path", {}).items():
        value = (path_parameters or {}).get(name)
        if path_parameters is not None and isinstance(value, str) and UUID.fullmatch(value):
            number = int(value.replace("-", ""), 16)
            if number % 4:
                path_parameters[name] = known[number // 4 % len(known)]
    return path_parameters


@schemathesis.hook
def filter_headers(context: Any, headers: dict[str, Any] | None) -> bool:
    """No blanks around a value: HTTP takes them away, and what arrives may be right though what was made was wrong."""
    return all(not isinstance(value, str) or value == value.strip() for value in (headers or {}).values())


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Values that go together, which no schema can say: in every phase, for what is sent in the query and the body.

    A price has a currency, a search at most ten terms, a cursor is one that a list gave, and what JSON Schema calls an
    integer although it is written 1.0 is written as one.
    """
    query = dict(case.query or {})
    for name in ("cursor", "after"):
        if query.get(name) == "nothing":
            del query[name]
    if {"min_price", "max_price"} & query.keys() and "currency" not in query:
        query["currency"] = "EUR"
    words = query.get("q")
    if isinstance(words, str) and len(words) <= 1000 and len(re.findall(r"\w+", words)) > 10:
        query["q"] = "walnut bowl"
    if query != (case.query or {}):
        case.query = query
    changes_tag = case.operation.path == "/api/v1/tags/{name}" and case.method in ("PATCH", "DELETE")
    if changes_tag and (case.path_parameters or {}).get("name") in SEEDED.get("tags", ()):
        case.path_parameters = {"name": "of-nothing"}  # else what other requests name would be gone
    if isinstance(case.body, dict | list):
        case.body = whole(case.body)
    # A key that came before brings back the answer of that time, of a thing that may have been deleted since: it would
    # look as if what was just made were not there. The other phases send keys twice.
    if case.meta.phase.name.value == "stateful" and "Idempotency-Key" in (case.headers or {}):
        case.headers["Idempotency-Key"] = uuid4().hex


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count what was sent."""
    SENT[f"{case.meta.phase.name.value} {response.status_code // 100}xx"] += 1


@atexit.register
def tell_what_was_sent() -> None:
    """Write the counts where the test reads them."""
    if where := os.environ.get("COUNTED"):
        Path(where).write_text(json.dumps(SENT), encoding="utf-8")


def whole(value: Any) -> Any:
    """The value with every number that is whole written so."""
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
