"""The files of the shop front, held in memory: one folder per version, so that a browser may keep them for ever.

ES modules import each other by relative addresses. Below `/assets/<version>/` these stay inside one version without any
rewriting: docs/decisions/0032-shop-front.md.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

FOLDER = Path(__file__).with_name("static") / "shop"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
SMALLEST_WORTH_PACKING = 500


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: what is sent, and the same packed with gzip where that is smaller."""

    content_type: str
    body: bytes
    packed: bytes | None


def packed(body: bytes) -> bytes | None:
    """`body` in gzip, or None where it is not worth it."""
    found = gzip.compress(body, 9, mtime=0) if len(body) >= SMALLEST_WORTH_PACKING else body
    return found if len(found) < len(body) else None


@cache
def _kept() -> tuple[str, dict[str, Asset]]:
    version, found = hashlib.sha256(), {}
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file() and path.suffix in CONTENT_TYPES:
            name, body = path.relative_to(FOLDER).as_posix(), path.read_bytes()
            version.update(f"{name} {len(body)} ".encode() + body)
            found[name] = Asset(CONTENT_TYPES[path.suffix], body, packed(body))
    return version.hexdigest()[:12], found


def assets() -> tuple[str, dict[str, Asset]]:
    """The version, and every file by its name in the folder. Read once, with SOUK_DEBUG at every call."""
    if settings.DEBUG:
        _kept.cache_clear()
    return _kept()
