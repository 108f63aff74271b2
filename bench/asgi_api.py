"""The API as Django serves it under ASGI: for `bench.asynchrony` alone, no installation runs it so."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "souk.settings")
application = get_asgi_application()
