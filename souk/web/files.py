"""Files that came with Souk and its libraries, served one way: read once, packed once, with an ETag."""

from __future__ import annotations

import mimetypes
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.exceptions import SuspiciousFileOperation
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified

from souk.kit.compression import coding_for, is_compressible, pack
from souk.kit.door import PlainDoor, is_known
from souk.kit.problem import NotFound

FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class File:
    """One file as it is sent: its body, and the same in every coding that was asked for."""

    body: bytes
    media: str
    etag: str
    packed: dict[str, bytes] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: Path) -> File:
        """Raises OSError."""
        body = path.read_bytes()
        return cls(body, _media_of(path), sha256(body).hexdigest()[:16])

    def answer(self, request: HttpRequest, caching: str) -> HttpResponse:
        """The file, or 304 for who has it. A packed one has a weak ETag."""
        coding = coding_for(request, self.media, len(self.body))
        if is_known(request, self.etag):
            response: HttpResponse = HttpResponseNotModified()
        elif coding is None:
            response = HttpResponse(self.body, content_type=self.media)
        else:
            # Two threads may pack the same file at once; both come to the same bytes.
            body = self.packed.get(coding) or self.packed.setdefault(coding, pack(self.body, coding, once=True))
            response = HttpResponse(body, content_type=self.media, headers={"Content-Encoding": coding})
        if is_compressible(self.media, len(self.body)):
            response["Vary"] = "Accept-Encoding"
        response["ETag"] = f'"{self.etag}"' if coding is None else f'W/"{self.etag}"'
        response["Cache-Control"] = caching
        return response


@dataclass(frozen=True)
class Folder:
    """A folder of files that do not change while the process lives (SOUK_DEBUG reads them at every request)."""

    root: Path
    seconds: int = 3600  # how long a copy is good without asking
    policy: str | None = None  # the Content-Security-Policy of its pages, where the usual one is too narrow
    kept: dict[str, File] = field(default_factory=dict, repr=False)

    def answer(self, request: HttpRequest, name: str, *, caching: str | None = None) -> HttpResponse:
        """The file of this name. Raises NotFound."""
        response = self.file(name).answer(request, caching or f"public, max-age={self.seconds}")
        if self.policy is not None:
            response["Content-Security-Policy"] = self.policy
        return response

    def file(self, name: str) -> File:
        """The file of this name, below the root. Raises NotFound."""
        if name not in self.kept or settings.DEBUG:
            try:
                path = self.place_of(name)
                if path is None or not path.is_file():
                    raise NotFound
                self.kept[name] = File.read(path)
            except (OSError, ValueError) as unreadable:
                raise NotFound from unreadable
        return self.kept[name]

    def place_of(self, name: str) -> Path | None:
        """Where the file lies; None for what would be outside."""
        root = self.root.resolve()
        path = (root / name).resolve()
        return path if path.is_relative_to(root) else None

    def names(self) -> list[str]:
        """Every file there is, in a fixed order."""
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())


@dataclass(frozen=True)
class OfPackages(Folder):
    """The static files of the installed Django applications: those of the pages for staff."""

    root: Path = Path()

    def place_of(self, name: str) -> Path | None:
        try:
            found = finders.find(name)
        except SuspiciousFileOperation:
            return None
        return Path(found) if isinstance(found, str) else None


class StaticFile(PlainDoor):
    """`GET /static/...`: what the pages for staff load."""

    files = OfPackages()

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        return self.files.answer(request, name)


def _media_of(path: Path) -> str:
    # What Python says of scripts differs from version to version.
    media = "text/javascript" if path.suffix in (".js", ".mjs") else mimetypes.guess_type(path.name)[0]
    media = media or "application/octet-stream"
    return f"{media}; charset=utf-8" if media.startswith("text/") or media == "image/svg+xml" else media
