"""Everybody who hears the log. A consumer more means one line more here, and a migration that says where it begins."""

from __future__ import annotations

from django.conf import settings

from souk.reactions.orders import ORDERS
from souk.reactions.payments import PAYMENTS
from souk.reactions.reaction import Consumer
from souk.reactions.search import SEARCH

# Whom there is no search server to tell hears nothing.
CONSUMERS: tuple[Consumer, ...] = (PAYMENTS, ORDERS, *((SEARCH,) if settings.SEARCH_URL else ()))
