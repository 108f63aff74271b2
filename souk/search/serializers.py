"""The query of the product list."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from souk.kit.parsing import Page


class ProductQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `GET /products` can be asked for."""

    seller: UUID | None = None
    id: Annotated[list[UUID], msgspec.Meta(max_length=100)] = []
