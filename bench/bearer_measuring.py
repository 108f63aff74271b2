"""What is measured about the bearer check: a view that does nothing, with no check, with ours, with the toolkit's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from rest_framework.request import Request

from bench.serving import environment, make_callers, migrate
from souk.accounts.authentication import BearerToken
from souk.kit.door import Door

ROUNDS = 9


class Nothing(Door):
    """A door that only looks who asks."""

    throttle_classes: list[Any] = []

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(request.user.username if request.user else "")


def measured(url: str, folder: Path, *, requests: int) -> dict[str, Any]:
    """Microseconds for each request, medians of the rounds, which take turns.

    `cpu_us` is this process alone. What PostgreSQL spends is much the same for both: one row by the unique checksum.
    """
    migrate(environment(url, folder / "home"))
    (caller,) = make_callers(1, "caller")
    views: dict[str, Callable[[HttpRequest], HttpResponseBase]] = {
        "none": Nothing.as_view(authentication_classes=[]),
        "ours": Nothing.as_view(authentication_classes=[BearerToken]),
        "toolkit": Nothing.as_view(authentication_classes=[OAuth2Authentication]),
    }
    headers = {"Authorization": f"Bearer {caller.token}", "Host": "localhost"}
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in views}
    for _ in range(ROUNDS):
        for name, view in views.items():
            rounds[name].append(spent(partial(ask, view, headers), requests))
    connection.close()
    found = {
        name: {"cpu_us": round(statistics.median(cpu)), "clock_us": round(statistics.median(clock))}
        for name, (cpu, clock) in ((name, zip(*figures, strict=True)) for name, figures in rounds.items())
    }
    nothing = found["none"]["cpu_us"]
    ratio = (found["toolkit"]["cpu_us"] - nothing) / (found["ours"]["cpu_us"] - nothing)
    return {"requests": requests, **found, "toolkit_to_ours_cpu": round(ratio, 1)}


def ask(view: Callable[[HttpRequest], HttpResponseBase], headers: dict[str, str]) -> None:
    """One request, as a server would hand it over. Raises RuntimeError for an answer that is not 200."""
    answer = view(RequestFactory().get("/nothing", headers=headers))
    if answer.status_code != 200:
        raise RuntimeError(f"the view answered {answer.status_code}")


def spent(work: Callable[[], None], times: int) -> tuple[float, float]:
    """Microseconds of this process and of the clock for each time."""
    cpu, clock = time.process_time(), time.perf_counter()
    for _ in range(times):
        work()
    return (time.process_time() - cpu) / times * 1e6, (time.perf_counter() - clock) / times * 1e6
