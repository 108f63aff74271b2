"""What a door says of itself to those who write clients: data, read when the contract is written.

The descriptions of a room stand in its `contract.py`, by the names of the handlers. Nothing of it runs, or is loaded,
while requests are answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from souk.kit.problem import Refused

Caller = Literal["anyone", "user", "staff"]


@dataclass(frozen=True, kw_only=True)
class Link:
    """What can be done next with an answer: the named operation, its parameters taken from the answer.

    `parameters` and `body` hold OpenAPI runtime expressions, such as `$response.body#/id`.
    """

    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, kw_only=True)
class Description:
    """One method of one address. What every door of its kind answers (401, 406, 429, 503, ...) is not repeated here.

    `name` is the operationId. `body`, `form`, `query` and `answer` are shapes; an answer of None has no body. `path`
    types the parameters of the address that are no UUIDs. `refuses` names the refusals of this door's own. `failure` is
    the shape of its errors where they are no problem details, with the `failures` it can give.
    """

    name: str
    summary: str
    tag: str
    caller: Caller
    text: str = ""
    body: type[msgspec.Struct] | None = None
    form: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    path: Mapping[str, Any] = field(default_factory=dict)
    answer: Any = None
    status: int = 200
    media: tuple[str, ...] = ()  # other media types of the answer, as text
    etag: bool = False  # the answer has one, and If-None-Match is honoured when it is read
    if_match: bool = False
    refuses: tuple[type[Refused], ...] = ()
    failure: type[msgspec.Struct] | None = None
    failures: Mapping[int, str] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    limited: bool = False  # counts against a limit although it is no door of the API
    method: str | None = None  # of a plain function, which has no methods of its own
