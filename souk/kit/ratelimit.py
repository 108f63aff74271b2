"""How often somebody may do something."""

from __future__ import annotations

from souk.kit.problem import Refused


class RateLimited(Refused):
    """Too much in too short a time. `retry_after` is in seconds."""

    status, code, title = 429, "rate_limited", "Too many requests"

    def __init__(self, detail: str = "", *, retry_after: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})
