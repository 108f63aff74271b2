"""The kit's place among Django's applications."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from souk.kit.logs import configure_logging


class KitConfig(AppConfig):
    """Sets the logs up, once per process."""

    name = "souk.kit"

    def ready(self) -> None:
        if settings.PROCESS != "command":
            configure_logging(debug=settings.DEBUG)
