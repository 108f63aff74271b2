"""Argon2id with the parameters that OWASP advises: 19 MiB, 2 passes, 1 lane; and never many at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import ClassVar

from django.contrib.auth.hashers import Argon2PasswordHasher

from souk.kit.ratelimit import RateLimited

AT_ONCE = 2
PATIENCE_SECONDS = 2.0


class OwaspArgon2Hasher(Argon2PasswordHasher):
    """About 20 ms and 19 MiB for each password; Django's default takes 100 MiB.

    Passwords are compared after NFKC: the same letters typed on another keyboard are the same password. At most two are
    hashed at once in a process; who waits longer than two seconds for a turn gets RateLimited.
    """

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    turns: ClassVar[BoundedSemaphore] = BoundedSemaphore(AT_ONCE)

    def encode(self, password: str, salt: str) -> str:
        with self._turn():
            return super().encode(unicodedata.normalize("NFKC", password), salt)

    def verify(self, password: str, encoded: str) -> bool:
        with self._turn():
            return super().verify(unicodedata.normalize("NFKC", password), encoded)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self.turns.acquire(timeout=PATIENCE_SECONDS):
            raise RateLimited("Too many people sign in at this moment.", retry_after=1)
        try:
            yield
        finally:
            self.turns.release()
