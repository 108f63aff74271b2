"""Addresses below /api/v1/. `GET /products` is joined with catalog's `POST` in the root."""

from __future__ import annotations

from django.urls import path

from souk.search import views

ProductList = views.Products

urlpatterns = [
    path("me/feed", views.Feed.as_view()),
    path("users/<uuid:user_id>/products", views.ProductsOfUser.as_view()),
]
