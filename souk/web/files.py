"""Files of folders that came with Souk, served with their type, a version and the reader's own policy."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified

from souk.kit.door import etags_in
from souk.kit.problem import NotFound


@dataclass(frozen=True)
class Folder:
    """A folder of files that do not change while the process lives, each read once."""

    root: Path
    seconds: int = 3600  # how long a copy is good without asking
    policy: str | None = None  # the Content-Security-Policy of its pages, where the usual one is too narrow
    kept: dict[str, tuple[bytes, str]] = field(default_factory=dict, repr=False)

    def answer(self, request: HttpRequest, name: str) -> HttpResponse:
        """The file of this name. Raises NotFound."""
        body, etag = self._read(name)
        if (tags := etags_in(request, "If-None-Match")) is not None and etag in tags:
            response: HttpResponse = HttpResponseNotModified()
        else:
            media, _ = mimetypes.guess_type(name)
            response = HttpResponse(body, content_type=_with_charset(media or "application/octet-stream"))
        response["ETag"] = f'"{etag}"'
        response["Cache-Control"] = f"public, max-age={self.seconds}"
        if self.policy is not None:
            response["Content-Security-Policy"] = self.policy
        return response

    def _read(self, name: str) -> tuple[bytes, str]:
        if name not in self.kept:
            root = self.root.resolve()
            try:
                file = (root / name).resolve()
                if not file.is_relative_to(root) or not file.is_file():
                    raise NotFound
                body = file.read_bytes()
            except (OSError, ValueError) as unreadable:
                raise NotFound from unreadable
            self.kept[name] = body, sha256(body).hexdigest()[:16]
        return self.kept[name]


def _with_charset(media: str) -> str:
    textual = media.startswith("text/") or media in ("application/javascript", "image/svg+xml")
    return f"{media}; charset=utf-8" if textual else media
