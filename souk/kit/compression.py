"""Large answers are compressed for those who can read it: Brotli, else gzip.

Secrets stand in small answers only (a token, the secret of a webhook), which are left as they are, so nothing can be
guessed from their length.
"""

from __future__ import annotations

import gzip

import brotli
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

SMALLEST = 1400  # bytes: less fits one packet anyway
COMPRESSIBLE = ("application/json", "text/", "application/javascript", "image/svg+xml")


def compress(request: HttpRequest, response: HttpResponseBase) -> None:
    """Code a large answer as Accept-Encoding allows. A compressed answer's ETag is a weak one."""
    if not isinstance(response, HttpResponse) or "Content-Encoding" in response.headers:
        return
    if response.status_code == 304:  # it varies as what it spares would have
        _vary(response)
        return
    if not is_compressible(response.headers.get("Content-Type", ""), len(response.content)):
        return
    _vary(response)
    asked = request.META.get("HTTP_ACCEPT_ENCODING")
    if asked and (coding := coding_of(asked)) is not None:
        _compress(response, coding)


def is_compressible(media: str, size: int) -> bool:
    """Whether a body of this media type and size (bytes) is sent in codings, for those who can read them."""
    return size >= SMALLEST and media.startswith(COMPRESSIBLE)


def coding_for(request: HttpRequest, media: str, size: int) -> str | None:
    """The coding in which a body of this media type and size (bytes) is best sent to this caller."""
    if not is_compressible(media, size):
        return None
    return coding_of(request.META.get("HTTP_ACCEPT_ENCODING", ""))


def coding_of(asked: str) -> str | None:
    """The coding to use for this Accept-Encoding: `br`, `gzip`, or None."""
    wanted = {}
    for one in asked.lower().split(","):
        name, _, quality = one.strip().partition(";")
        wanted[name.strip()] = quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    for coding in ("br", "gzip"):
        if wanted.get(coding, wanted.get("*", False)):
            return coding
    return None


def pack(body: bytes, coding: str, *, once: bool = False) -> bytes:
    """`body` in this coding (`br` or `gzip`). `once`: it is kept and sent often, so it may take its time."""
    if coding == "br":
        return bytes(brotli.compress(body, quality=9 if once else 4))
    return gzip.compress(body, compresslevel=9 if once else 5, mtime=0)


def _vary(response: HttpResponse) -> None:
    vary = response.headers.get("Vary")
    if vary is None or "Accept-Encoding" not in vary:
        response.headers["Vary"] = f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"


def _compress(response: HttpResponse, coding: str) -> None:
    response.content = pack(response.content, coding)
    response["Content-Encoding"] = coding
    del response["Content-Length"]  # it is counted anew
    etag = response.headers.get("ETag")
    if etag is not None and not etag.startswith("W/"):
        response["ETag"] = f"W/{etag}"
