"""What the contract says in words, and the pieces that no shape of ours describes."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

DESCRIPTION = """\
A marketplace where every account can sell and buy. The guide at `/guide/` begins with a first order in five minutes.

**Who asks.** Public reads need no token. Everything else: `Authorization: Bearer <token>` from `POST /oauth/token`.
A bad or dead token is 401 everywhere, also on public reads.

**Lists** answer `{"results": [...], "next": "<cursor>" | null}`; pass `next` as `cursor`. A page may be short, even
empty, while `next` is not null.

**Money** is an integer in minor units with its ISO 4217 currency. **Times** are RFC 3339 in UTC. **Ids** are UUIDs.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`; their `type` is the address of a page that
explains it. The `x-problem-codes` of an answer list the codes that this operation gives with that status. Every address
answers 405 to methods it does not know, with `Allow`.

**Bodies** are JSON in UTF-8, at most 256 kB, at most 32 levels deep, without repeated keys; no string holds U+0000 or a
lone surrogate. Unknown fields are refused, and so are unknown query parameters.

**Within v1** fields may be added to answers, never renamed or removed: ignore what you do not know.
"""

TAGS = [
    {"name": "Tokens", "description": "OAuth 2 (RFC 6749, 7009, 8414): password and refresh grant, revocation."},
    {"name": "Accounts", "description": "Registration, profiles, passwords, following."},
    {"name": "Products", "description": "Finding, offering and changing what is for sale; the stock ledger."},
    {"name": "Tags", "description": "The words that products are sorted by."},
    {"name": "Bag", "description": "What a buyer gathers before ordering. Nothing is held yet."},
    {"name": "Orders", "description": "Place, confirm, cancel; stock is held until the deadline."},
    {"name": "Sales", "description": "The same orders as a seller sees them: their own lines alone."},
    {"name": "Machines", "description": "Which states things have, and what leads from one to the next."},
    {"name": "Events", "description": "What happened, in order: the feed, and tickets for the live stream."},
    {"name": "Webhooks", "description": "Have events sent to a server of yours, signed as Standard Webhooks says."},
    {"name": "Running", "description": "Health, figures, and this contract."},
]

SECURITY: Schema = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An opaque access token from `POST /oauth/token`, good for as long as its answer said.",
    },
    "client": {
        "type": "http",
        "scheme": "basic",
        "description": "A confidential client's id and secret. The public client `souk-web` sends its id in the form.",
    },
}

PROBLEM: Schema = {
    "type": "object",
    "title": "Problem",
    "description": "Why a request was refused (RFC 9457). `code` is stable; `detail` is for people and may change.",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "pattern": "^/problems/[a-z_]+$"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "pattern": "^[a-z_]+$"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "One entry per offending place of the request.",
            "items": {
                "type": "object",
                "title": "ProblemError",
                "required": ["code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON Pointer into the body."},
                    "parameter": {"type": "string", "description": "The query parameter or header."},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                    "requested": {"type": "integer", "description": "`out_of_stock`: how many were asked for."},
                    "available": {"type": "integer", "description": "`out_of_stock`: how many can be had."},
                    "oldest": {"type": "string", "description": "`events_expired`: the oldest cursor there is."},
                },
            },
        },
    },
}
