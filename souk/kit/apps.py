"""The kit's place among Django's applications."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.utils.module_loading import import_string

from souk.kit.logs import configure_logging


class KitConfig(AppConfig):
    """Sets the logs up, and the traces where they are wanted, once per process."""

    name = "souk.kit"

    def ready(self) -> None:
        if settings.PROCESS != "command":
            configure_logging(debug=settings.DEBUG)
            if settings.TRACES != "none":
                import_string("souk.kit.telemetry.begin_telemetry")()
