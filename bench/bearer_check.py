"""`python -m bench.bearer_check`: our bearer check beside the toolkit's, on the same route with the same token.

Prints a table and writes `bench/results/bearer_check.json`. `--database` names a PostgreSQL that may be written to;
without it one is started under a folder of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import django

from bench.orders_placing import RESULTS, database, machine


def main() -> None:
    """Measure, print, write."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--requests", type=int, default=300, help="in each of nine rounds")
    asked.add_argument("--database", default="")
    arguments = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="souk-bench-") as folder, database(arguments.database, Path(folder)) as url:
        os.environ.update(
            {"DJANGO_SETTINGS_MODULE": "souk.settings", "SOUK_DATABASE_URL": url, "SOUK_PROCESS": "command"}
        )
        django.setup()
        # Django's settings read the address above.
        from bench.bearer_measuring import measured  # noqa: PLC0415  # its models need Django to be set up

        found = measured(url, Path(folder), requests=arguments.requests)
    found = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "bearer_check.json").write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
