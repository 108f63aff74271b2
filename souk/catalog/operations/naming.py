"""Plain names made from human ones, for what an import makes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from souk.accounts.operations.registering import RESERVED

SHORTEST_USERNAME, LONGEST_USERNAME = 3, 32
APOSTROPHES = re.compile("['’`]")
OTHERS = re.compile("[^a-z0-9]+")


def slug_of(name: str) -> str:
    """Lower-case ASCII letters and digits with single hyphens: `Rösterei Halbmond` -> `rosterei-halbmond`.

    Empty when the name has none of them.
    """
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    return OTHERS.sub("-", APOSTROPHES.sub("", plain)).strip("-")


def usernames_for(name: str) -> Iterator[str]:
    """User names for a seller, best first and without end: its slug where that may be one, then with a number."""
    slug = slug_of(name) or "seller"
    if len(slug) >= SHORTEST_USERNAME and slug not in RESERVED:
        yield slug[:LONGEST_USERNAME].strip("-")
    number = 0
    while True:
        number += 1
        suffix = f"-{number}"
        yield slug[: LONGEST_USERNAME - len(suffix)].strip("-") + suffix
