"""`python -m bench.orders_placing`: place and confirm orders over HTTP, beside the same work under pgbench.

Prints a table and writes `bench/results/orders_placing.json`. `--database` names a PostgreSQL that may be written to;
without it a durable one is started under a folder of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print, write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=int, default=10)
    asked.add_argument("--products", type=int, default=10_000)
    asked.add_argument("--database", default="")
    arguments = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="souk-bench-") as folder, database(arguments.database, Path(folder)) as url:
        os.environ.update(
            {"DJANGO_SETTINGS_MODULE": "souk.settings", "SOUK_DATABASE_URL": url, "SOUK_PROCESS": "command"}
        )
        django.setup()
        # Django's settings read the address above.
        from bench.orders_measuring import measured  # noqa: PLC0415  # its models need Django to be set up

        found = measured(url, Path(folder), seconds=arguments.seconds, products=arguments.products)
    found = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "orders_placing.json").write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


@contextmanager
def database(given: str, folder: Path) -> Iterator[str]:
    """The database to measure: the given one, or a durable PostgreSQL of our own."""
    if given:
        yield given
        return
    from souk.stack.postgres import running_postgres  # noqa: PLC0415  # only where it is wanted

    with running_postgres(folder / "home", durable=True) as url:
        yield url


def machine() -> dict[str, Any]:
    """Where it was measured, and how busy the machine was with other things."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": [round(one, 1) for one in os.getloadavg()],
    }


if __name__ == "__main__":
    main()
