"""What was asked and what was heard, one line of JSON each; outcomes that nobody knows are kept too."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec

PATIENCE_SECONDS = 15.0


class Asked(msgspec.Struct, kw_only=True):
    """One request and its answer.

    `status` is None when the connection broke or nothing came in time: then the outcome is unknown. `token` is a digest
    of the bearer token, and a success ends the tokens in `ends`. `began` and `ended` are seconds of this machine's
    clock. `role` is who asks: buyer, seller, guest.
    """

    role: str
    user: str
    method: str
    path: str
    body: Any = None
    key: str | None = None
    token: str | None = None
    ends: list[str] = msgspec.field(default_factory=list)
    status: int | None = None
    answer: Any = None
    began: float = 0.0
    ended: float = 0.0

    @property
    def done(self) -> bool:
        """Whether a success was acknowledged."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The code of a refusal; empty for other answers."""
        return str(self.answer.get("code", "")) if isinstance(self.answer, dict) else ""

    @property
    def settled(self) -> bool:
        """Whether the answer says for good what came of it."""
        return self.status is not None and self.status < 500 and self.code != "idempotency_in_progress"


class History:
    """Every request of a round, in the order of the answers, kept here and in a file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._lock = threading.Lock()
        self.asked: list[Asked] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, asked: Asked) -> None:
        """Write it down."""
        with self._lock:
            self.asked.append(asked)
            self._file.write(msgspec.json.encode(asked) + b"\n")


def read_history(path: Path) -> list[Asked]:
    """The requests of a file that History wrote."""
    return [msgspec.json.decode(line, type=Asked) for line in path.read_bytes().splitlines()]


def digest(token: str) -> str:
    """What stands for a token in the history."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


class Voice:
    """One speaker's own connection to one of the addresses. Every request is written down."""

    def __init__(self, url: str, history: History, *, role: str, user: str = "") -> None:
        self._client = httpx.Client(base_url=url, timeout=httpx.Timeout(PATIENCE_SECONDS, connect=3.0))
        self._history = history
        self.role, self.user = role, user

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        key: str | None = None,
        form: bool = False,
        ends: Sequence[str] = (),
    ) -> Asked:
        """Ask; `path` is below /api/v1, or at the root for a form."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        sent: dict[str, Any] = {"data" if form else "json": body} if body is not None else {}
        asked = Asked(
            role=self.role, user=self.user, method=method, path=path, body=None if form else body, key=key,
            token=digest(token) if token else None, ends=[digest(one) for one in ends], began=time.time(),
        )  # fmt: skip
        try:
            answer = self._client.request(method, path if form else f"/api/v1{path}", headers=headers, **sent)
            asked.status = answer.status_code
            asked.answer = answer.json() if answer.content else None
        except (httpx.TransportError, ValueError):
            asked.status = None
        asked.ended = time.time()
        self._history.add(asked if not form else msgspec.structs.replace(asked, answer=None))
        return asked
