"""What the live process counts. As many connections are open as were opened and not closed."""

from __future__ import annotations

from souk.kit.counting import Counter

REASONS = ("ended", "slow", "broken")

opened = Counter("souk_live_opened", "Live connections that began.")
closed = Counter(
    "souk_live_closed", "Live connections that ended: by either side, too slow to be served, broken.", ["reason"]
)
for _reason in REASONS:
    closed.labels(_reason)  # so that the first one is an increase, too
