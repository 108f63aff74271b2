"""`python -m bench.dead_tokens`: sign-in, refresh and bearer check with a million dead token pairs, and their purge.

Prints what it found and writes it to `bench/results/dead_tokens.json`. `--database` names a PostgreSQL that may be
written to; without it a durable one is started under a folder of its own.
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
    asked.add_argument("--pairs", type=int, default=1_000_000)
    asked.add_argument("--sign-ins", type=int, default=150, help="in each of the states that are compared")
    asked.add_argument("--database", default="")
    arguments = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="souk-bench-") as folder, database(arguments.database, Path(folder)) as url:
        os.environ.update(
            {
                "DJANGO_SETTINGS_MODULE": "souk.settings",
                "SOUK_DATABASE_URL": url,
                "SOUK_PROCESS": "command",
                "SOUK_RATE_LIMITS": "off",
            }
        )
        django.setup()
        # Django's settings read the address above.
        from bench.dead_tokens_measuring import measured  # noqa: PLC0415  # its models need Django to be set up

        found = measured(url, Path(folder), pairs=arguments.pairs, sign_ins=arguments.sign_ins)
    found = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "dead_tokens.json").write_text(json.dumps(found, indent=2) + "\n")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
