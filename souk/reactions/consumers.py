"""Everybody who hears the log. A consumer more means one line more here, and a migration that says where it begins."""

from __future__ import annotations

from souk.reactions.orders import ORDERS
from souk.reactions.payments import PAYMENTS
from souk.reactions.reaction import Consumer

CONSUMERS: tuple[Consumer, ...] = (PAYMENTS, ORDERS)
