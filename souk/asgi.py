"""The ASGI application that granian serves: the live streams, and nothing else."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "souk.settings")
django.setup()

from souk.live.application import Application  # noqa: E402  # Django must be set up before models can be imported

application = Application()
