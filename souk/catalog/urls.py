"""Addresses below /api/v1/. `POST /products` is joined with search's `GET` in the root."""

from __future__ import annotations

from django.urls import path

from souk.catalog import views

NewProduct = views.NewProduct

urlpatterns = [
    path("me/products", views.MyProducts.as_view()),
    path("products/<uuid:product_id>", views.OneProduct.as_view()),
    path("products/<uuid:product_id>/activate", views.Activation.as_view()),
    path("products/<uuid:product_id>/archive", views.Archiving.as_view()),
    path("products/<uuid:product_id>/tags/<str:name>", views.TagOfProduct.as_view()),
    path("products/<uuid:product_id>/stock-movements", views.StockMovements.as_view()),
    path("tags", views.Tags.as_view()),
    path("tags/<str:name>", views.OneTag.as_view()),
]
