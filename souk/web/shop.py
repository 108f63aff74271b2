"""The shop front: one page for all its addresses, and the files that it loads. Everything else it asks the API for."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine, Template
from django.views import View

from souk.kit.door import is_known
from souk.kit.problem import NotFound, rendered
from souk.web.files import FOR_EVER, Folder

# What the browser may do for the page. Pictures of products lie where their sellers keep them; the rest is ours alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https:; connect-src 'self' {live}; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# The addresses that static/shop/app.js knows.
PLACES = (
    "", "p/<str:one>", "u/<str:one>", "feed", "signin", "register", "forgotten", "reset", "verify", "account",
    "bag", "orders", "orders/<str:one>", "desk", "desk/sales", "desk/new", "desk/<str:one>",
)  # fmt: skip
files = Folder(Path(__file__).with_name("static") / "shop")
engine = Engine(dirs=[str(Path(__file__).with_name("templates"))], autoescape=True)


class Shop(View):
    """The page of every address of the shop front."""

    def get(self, request: HttpRequest, **_: str) -> HttpResponse:
        return page(request)


class Asset(View):
    """`/assets/<version>/<name>`: a file that never changes. 404 for every other version than the present one."""

    def get(self, request: HttpRequest, version: str, name: str) -> HttpResponse:
        if version != present()[0]:
            raise NotFound
        return files.answer(request, name, caching=FOR_EVER)


def present() -> tuple[str, list[str]]:
    """The version, a checksum over all files, and the modules that every page loads.

    ES modules import each other by relative addresses: below the version they need no rewriting.
    """
    return _present() if settings.DEBUG else _kept_present()


def page(request: HttpRequest, *, status: int = 200) -> HttpResponse:
    """The page. It is asked for again at every visit, and answered with 304 when nothing changed."""
    live = live_address(request)
    version, modules = present()
    known = {"version": version, "live": live, "modules": modules, "at_start": request.path == "/"}
    body = _template(settings.DEBUG).render(Context(known)).encode()
    tag = hashlib.sha256(body).hexdigest()[:16]
    if status == 200 and is_known(request, tag):
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type="text/html; charset=utf-8", status=status)
    response["ETag"] = f'"{tag}"'
    response["Cache-Control"] = "no-cache"
    response["Content-Security-Policy"] = POLICY.format(live=live)
    response["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=()"
    return response


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404: a page for a person who follows a wrong link, a problem for every program."""
    wants_page = "text/html" in request.headers.get("Accept", "") and request.method in ("GET", "HEAD")
    if wants_page and not request.path.startswith(("/api/", "/oauth/", "/assets/")):
        return page(request, status=404)
    return rendered(NotFound())


def live_address(request: HttpRequest) -> str:
    """Where the browser reaches the live process: SOUK_LIVE_URL, else the same host at the port of the settings."""
    if settings.LIVE_URL:
        return str(settings.LIVE_URL)
    host = urlsplit(f"//{request.get_host()}").hostname or "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    return f"{request.scheme}://{shown}:{settings.LIVE_PORT}"


def _present() -> tuple[str, list[str]]:
    names = files.names()
    version = hashlib.sha256("".join(f"{name} {files.file(name).etag} " for name in names).encode()).hexdigest()
    return version[:12], [name for name in names if name.endswith(".js") and "/" not in name]


_kept_present = cache(_present)


@cache
def _kept_template() -> Template:
    return engine.get_template("shop.html")


def _template(fresh: bool) -> Template:
    return engine.get_template("shop.html") if fresh else _kept_template()
