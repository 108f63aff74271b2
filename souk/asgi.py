"""The ASGI application of the live streams, and nothing else; `python -m souk.asgi HOST PORT` serves it."""

from __future__ import annotations

import asyncio
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "souk.settings")
django.setup()

from souk.live.application import Application  # noqa: E402  # Django must be set up before models can be imported
from souk.live.serving import serve  # noqa: E402  # the same

application = Application()

if __name__ == "__main__":
    asyncio.run(serve(application, host=sys.argv[1], port=int(sys.argv[2])))
