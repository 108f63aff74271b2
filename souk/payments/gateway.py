"""The payment provider. This one is a stand-in that keeps its own book, so that its promises can be checked.

Its book is a table of its own that nothing else in Souk writes: a real provider would be another company's database.
Must never be called inside a transaction.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from souk.kit.entity import new_id
from souk.kit.postgresql.prepared import prepared_rows

SLOW_SECONDS = 2.0
ENTER = """
INSERT INTO payments_providercharge (key, charge_id, amount, currency, refunded)
VALUES (%(key)s, %(charge_id)s, %(amount)s, %(currency)s, false) ON CONFLICT (key) DO NOTHING RETURNING charge_id
"""
LOOK_UP = "SELECT charge_id FROM payments_providercharge WHERE key = %(key)s AND NOT refunded"
TOKENS = frozenset({"tok_ok", "tok_declined", "tok_slow", "tok_flaky", "tok_unreachable"})


class ProviderUnavailable(Exception):
    """The provider did not answer: whether it charged is unknown. Ask again with the same key."""


class ProviderTimeout(ProviderUnavailable):
    """The provider answered too late."""


@dataclass(frozen=True)
class Charged:
    """The money was taken. The same key always gives the same charge."""

    charge_id: str


@dataclass(frozen=True)
class Declined:
    """The money was not taken, and will not be under this key."""

    code: str


def charge(*, key: UUID, token: str, amount: int, currency: str) -> Charged | Declined:
    """Take `amount` minor units. Raises ProviderUnavailable and ProviderTimeout, after which the outcome is unknown.

    `key` makes it safe to ask again: the provider charges once for one key, whatever is asked how often.
    """
    if connection.in_atomic_block:
        raise RuntimeError("the provider is called inside a transaction")
    match token:
        case "tok_declined":
            return Declined("card_declined")
        case "tok_unreachable":
            raise ProviderUnavailable("the provider is down")
        case "tok_slow":
            time.sleep(SLOW_SECONDS)
    charge_id, fresh = _book(key, amount, currency)
    if charge_id is None:
        return Declined("refunded")
    if token == "tok_flaky" and fresh:  # the name of a test token, no secret
        raise ProviderTimeout("the provider charged, and its answer was lost")
    return Charged(charge_id)


def refund(*, key: UUID) -> str | None:
    """Give back what was charged under the key, and never charge under it again.

    Returns the id of the charge that was given back (now or before), or None when there was none. Repeatable. Raises
    ProviderUnavailable.
    """
    if connection.in_atomic_block:
        raise RuntimeError("the provider is called inside a transaction")
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        # An entry of nothing closes a key that was never charged.
        cursor.execute(
            "INSERT INTO payments_providercharge (key, charge_id, amount, currency, refunded)"
            " VALUES (%s, '', 0, '', true) ON CONFLICT (key) DO UPDATE SET refunded = true RETURNING charge_id",
            [key],
        )
        return cursor.fetchone()[0] or None


def _book(key: UUID, amount: int, currency: str) -> tuple[str | None, bool]:
    """Enter the charge in the provider's book; the id of the entry (None: the key is closed), and whether it is new."""
    entry = {"key": key, "charge_id": f"ch_{new_id().hex}", "amount": amount, "currency": currency}
    # Each statement commits by itself.
    if made := prepared_rows(ENTER, entry):
        return str(made[0][0]), True
    found = prepared_rows(LOOK_UP, {"key": key})
    return (str(found[0][0]) if found else None), False
