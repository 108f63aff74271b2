"""What `souk replay orders` says of the books of the products that it played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from souk.orders.operations.auditing import find_drift


def disagreements(product_ids: Sequence[UUID]) -> list[str]:
    """A sentence for each of these products whose books differ; none when all agree."""
    rows = [asdict(drift) for drift in find_drift(product_ids=product_ids, limit=None)]
    return [
        f"product {row.pop('product_id')}: " + ", ".join(f"{name} {value}" for name, value in row.items())
        for row in rows
    ]
