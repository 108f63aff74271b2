"""The WSGI application that granian (or gunicorn) serves."""

from __future__ import annotations

import os

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "souk.settings")
if not settings.GIVEN_SECRET_KEY:
    raise ImproperlyConfigured("SOUK_SECRET_KEY is not set: give all processes of Souk the same long random text.")
application = get_wsgi_application()
