"""The API as it is served, over a database of one's own."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from django.db import connection

from bench.calling import Caller
from souk import settings
from souk.accounts.models import User
from souk.catalog.models import Product
from souk.kit.entity import new_id
from souk.stack.api import ask, granian_argv

PATIENCE_SECONDS = 60


def environment(database_url: str, home: Path, **more: str) -> dict[str, str]:
    """What a Souk process over this database is started with: no rate limits, nothing of another installation."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
    return {
        **kept,
        "SOUK_HOME": str(home),
        "SOUK_DATABASE_URL": database_url,
        "SOUK_RATE_LIMITS": "off",
        "SOUK_SECRET_KEY": "of a measurement",
        "DJANGO_SETTINGS_MODULE": "souk.settings",
        **more,
    }


@contextmanager
def served(env: Mapping[str, str], *, workers: int = 2) -> Iterator[int]:
    """Serve the API on a free loopback port until the block ends; gives the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    argv = granian_argv(host="127.0.0.1", port=port, workers=workers, threads=settings.API_THREADS)
    log = Path(env["SOUK_HOME"]) / "api.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        server = subprocess.Popen(argv, env={**env, "SOUK_PROCESS": "api"}, stdout=out, stderr=out)
        try:
            until = time.monotonic() + PATIENCE_SECONDS
            while ask(f"http://127.0.0.1:{port}/health/live")[0] != 200:
                if time.monotonic() > until or server.poll() is not None:
                    raise RuntimeError(f"the API did not start: {log.read_text()[-2000:]}")
                time.sleep(0.1)
            yield port
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def migrate(env: Mapping[str, str]) -> None:
    """Bring the database's tables up to date."""
    argv = [sys.executable, "-m", "souk", "migrate"]
    subprocess.run(argv, env={**env, "SOUK_PROCESS": "command"}, check=True, stdout=subprocess.DEVNULL)


def make_callers(number: int, prefix: str) -> list[Caller]:
    """Users with tokens, written straight into the database that this process is set up for."""
    users = User.objects.bulk_create([User(username=f"{prefix}-{place:04}") for place in range(number)])
    callers = [Caller(user.pk, secrets.token_urlsafe(24)) for user in users]
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM oauth2_provider_application LIMIT 1")
        (application,) = cursor.fetchone()
        cursor.executemany(
            "INSERT INTO oauth2_provider_accesstoken"
            " (token, token_checksum, expires, scope, resource, application_id, user_id, created, updated)"
            " VALUES ('', %s, now() + interval '1 day', 'souk', '[]', %s, %s, now(), now())",
            [(hashlib.sha256(one.token.encode()).hexdigest(), application, one.id) for one in callers],
        )
    return callers


def make_products(number: int, seller: Caller, *, stock: int, price: int = 1999) -> list[UUID]:
    """ACTIVE products of one seller with so much on hand, written in bulk with their ledger."""
    rows = [
        Product(
            seller_id=seller.id,
            title=f"Product {place}",
            price_amount=price,
            price_currency="EUR",
            state="ACTIVE",
            published_id=new_id(),
        )
        for place in range(number)
    ]
    with connection.cursor() as cursor:
        Product.objects.bulk_create(rows, batch_size=2000)
        cursor.execute(
            "SELECT count(open_stock(id, %s, %s, true, 'system')) FROM unnest(%s::uuid[]) AS id",
            [seller.id, stock, [row.pk for row in rows]],
        )
        cursor.execute(
            "INSERT INTO eventlog_transition (subject_type, subject_id, sequence, source, target, event, actor)"
            " SELECT 'product', id, 1, NULL, 'ACTIVE', 'create', 'system' FROM unnest(%s::uuid[]) AS id",
            [[row.pk for row in rows]],
        )
    return [row.pk for row in rows]
