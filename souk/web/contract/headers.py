"""The headers of requests and answers, each described once."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

REQUEST_HEADERS: dict[str, Schema] = {
    "Idempotency-Key": {"$ref": "#/components/parameters/IdempotencyKey"},
    "If-Match": {"$ref": "#/components/parameters/IfMatch"},
    "If-None-Match": {"$ref": "#/components/parameters/IfNoneMatch"},
}

PARAMETERS: dict[str, Schema] = {
    "IdempotencyKey": {
        "in": "header",
        "name": "Idempotency-Key",
        "description": (
            "Name this request, so that sending it again gives the same answer and has no second effect. "
            "1 to 255 printable ASCII characters, bare or in double quotes. Kept for at least a day."
        ),
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": 257,
            # A header's value has no blanks around it.
            "pattern": r'^([!#-~]([ !#-~]{0,253}[!#-~])?|"[ !#-~]{1,255}")$',
        },
        "example": "5f0c6f0e-order-1",
    },
    "IfMatch": {
        "in": "header",
        "name": "If-Match",
        "description": "Change it only if it is still the version with this ETag; else 412 `version_mismatch`.",
        "schema": {"type": "string"},
        "example": '"3.1"',
    },
    "IfNoneMatch": {
        "in": "header",
        "name": "If-None-Match",
        "description": "Answer 304 without a body if the present version has this ETag.",
        "schema": {"type": "string"},
        "example": '"3.1"',
    },
}

ANSWER_HEADERS: dict[str, Schema] = {
    "X-Request-ID": {
        "description": "The id of this request in the logs: the caller's own X-Request-ID, or one that was made.",
        "required": True,
        "schema": {"type": "string", "pattern": r"^[!-~]{1,128}$"},
    },
    "RateLimit": {
        "description": "What is left of the tightest limit, and in how many seconds all of it is back.",
        "schema": {"type": "string"},
        "example": '"reads";r=11999;t=1',
    },
    "RateLimit-Policy": {
        "description": "The tightest limit: its quota, and its window in seconds.",
        "schema": {"type": "string"},
        "example": '"reads";q=12000;w=60',
    },
    "Retry-After": {
        "description": "After how many seconds it is worth trying again.",
        "schema": {"type": "string", "pattern": r"^[0-9]+$"},
        "example": "1",
    },
    "ETag": {
        "description": "The version that is shown. Send it as If-Match to change exactly this one.",
        "required": True,
        "schema": {"type": "string", "pattern": r'^(W/)?"[!#-~]+"$'},
        "example": '"3.1"',
    },
    "Location": {
        "description": "The address of what was made.",
        "required": True,
        "schema": {"type": "string", "pattern": "^/api/v1/"},
    },
    "Link": {
        "description": 'The next page (`rel="next"`), where there is one.',
        "schema": {"type": "string"},
        "example": '</api/v1/products?cursor=WyJw>; rel="next"',
    },
    "Idempotent-Replayed": {
        "description": "There when this answer was given before under the same Idempotency-Key.",
        "schema": {"type": "string", "const": "true"},
    },
    "WWW-Authenticate": {
        "description": "How to prove who asks.",
        "required": True,
        "schema": {"type": "string", "pattern": "^(Bearer|Basic)( |$)"},
    },
}


def header(name: str) -> Schema:
    """A reference to the header of this name."""
    return {"$ref": f"#/components/headers/{name}"}
