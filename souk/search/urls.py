"""Addresses below /api/v1/. `GET /products` is joined with catalog's `POST` in the root."""

from __future__ import annotations

from souk.search import views

ProductList = views.Products
