"""The WSGI application that granian (or gunicorn) serves."""

from __future__ import annotations

import gc
import os

import django
from django.conf import settings
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "souk.settings")
django.setup(set_prefix=False)

from souk.kit.front import Front  # noqa: E402  # it needs the settings
from souk.kit.turns import Turns  # noqa: E402  # the same

application = Turns(Front(), at_once=settings.READS_AT_ONCE)

# The doors are loaded before the first request comes. What is there by then stays: the collector need not look at it
# again and again, and an answer makes few cycles, so that it may look more seldom.
get_resolver().url_patterns  # noqa: B018  # reading it is what loads them
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)
