"""Health and metrics, for those who run Souk."""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST

from souk.kit.door import PlainDoor, answer
from souk.kit.problem import Forbidden
from souk.web.health import LivenessOut, health
from souk.web.metrics import metrics


class Live(PlainDoor):
    """`GET /health/live`: the process answers."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return answer(LivenessOut(status="live"))


class Ready(PlainDoor):
    """`GET /health/ready`: every part looked at. 503 without the database alone."""

    def get(self, request: HttpRequest) -> HttpResponse:
        found = health(with_path=_may_read_metrics(request))
        response = answer(found, status=503 if found.status == "unavailable" else 200)
        if found.status == "unavailable":
            response["Retry-After"] = "1"
        return response


class Metrics(PlainDoor):
    """`GET /metrics`: Prometheus text, from loopback or with the token of the settings."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not _may_read_metrics(request):
            raise Forbidden("Metrics are read from loopback, or with the metrics token as bearer.")
        return HttpResponse(metrics(), content_type=CONTENT_TYPE_LATEST)


def _may_read_metrics(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and scheme.lower() == "bearer":
        return hmac.compare_digest(token.encode(), settings.METRICS_TOKEN.encode())
    address = request.META.get("REMOTE_ADDR", "")
    return bool(address) and ip_address(address).is_loopback and "HTTP_X_FORWARDED_FOR" not in request.META
