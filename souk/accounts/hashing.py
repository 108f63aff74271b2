"""Argon2id with the parameters that OWASP advises: 19 MiB, 2 passes, 1 lane."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class OwaspArgon2Hasher(Argon2PasswordHasher):
    """About 20 ms and 19 MiB for each password; Django's default takes 100 MiB."""

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1
