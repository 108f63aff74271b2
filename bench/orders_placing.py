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
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import connections

from bench.orders_measuring import measured
from souk import settings
from souk.stack.postgres import running_postgres

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
        found = measured(url, Path(folder), seconds=arguments.seconds, products=arguments.products)
    found = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "orders_placing.json").write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


@contextmanager
def database(given: str, folder: Path) -> Iterator[str]:
    """The database to measure, which Django speaks to from now on: the given one, or a durable one of our own."""
    with nullcontext(given) if given else running_postgres(folder / "home", durable=True) as url:
        wrapper = connections["default"]
        wrapper.settings_dict.update(settings.database(url))
        yield url
        wrapper.close()


def machine() -> dict[str, Any]:
    """Where it was measured, and how busy the machine was, with other things too."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "threads_per_process": settings.API_THREADS,
        "load_at_the_end": [round(one, 1) for one in os.getloadavg()],
    }


if __name__ == "__main__":
    main()
