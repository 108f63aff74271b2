"""`souk django write_docs [--check]`: write the documentation that is made from the code."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from souk.web.contract.generator import contract
from souk.web.states import states_pages


class Command(BaseCommand):
    """Writes docs/states.md with its pictures, and docs/openapi.json; with --check only
    says whether they are current."""

    help = "Write the generated pages of docs/, or check that they are current."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing, fail when a page is stale")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        openapi = json.dumps(contract(), indent=1, ensure_ascii=False) + "\n"
        for name, page in {**states_pages(), "openapi.json": openapi}.items():
            file = settings.CHECKOUT / "docs" / name
            if check and (not file.exists() or file.read_text() != page):
                raise CommandError(f"docs/{name} is stale: run `souk django write_docs`")
            if not check:
                file.parent.mkdir(exist_ok=True)
                file.write_text(page)
