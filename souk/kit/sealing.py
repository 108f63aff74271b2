"""Keeping short secrets in the database so that a copy of it alone reveals none of them.

The key is derived from SOUK_SECRET_KEY. Where that is changed, Django's SECRET_KEY_FALLBACKS still open the old ones.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """What was sealed cannot be opened: another key, or not what was sealed."""


def seal(text: str, *, purpose: str) -> bytes:
    """The text, encrypted and signed. What was sealed for one purpose opens for no other."""
    return _fernets(purpose).encrypt(text.encode())


def unseal(sealed: bytes, *, purpose: str) -> str:
    """What was sealed. Raises Unreadable."""
    try:
        return _fernets(purpose).decrypt(bytes(sealed)).decode()
    except InvalidToken as wrong:
        raise Unreadable from wrong


def _fernets(purpose: str) -> MultiFernet:
    keys = [settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS)]
    return MultiFernet([_fernet(key, purpose) for key in keys])


def _fernet(key: str, purpose: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"souk {purpose}".encode()).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
